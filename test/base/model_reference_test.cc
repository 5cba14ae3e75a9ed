// What a user may write as a model, and what is said of the rest.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/model.h"
#include "base/web_reference.h"

namespace weighhouse {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";
const std::string kSha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

struct Good {
  std::string model;
  std::string revision;
  std::string uri;
  std::string parsed_revision;
};

class GoodReference : public testing::TestWithParam<Good> {};

TEST_P(GoodReference, Parses) {
  const Good& good = GetParam();
  Result<ModelReference> reference = ModelReference::Parse(good.model, good.revision);
  ASSERT_TRUE(reference.has_value()) << reference.error().message;
  EXPECT_EQ(reference->uri, good.uri);
  EXPECT_EQ(reference->revision, good.parsed_revision);
  EXPECT_EQ(reference->Scheme(), good.uri.substr(0, good.uri.find(':')));
}

INSTANTIATE_TEST_SUITE_P(
    Hub, GoodReference,
    testing::Values(Good{"hf://Qwen/Qwen2.5-1.5B-Instruct", "", "hf://Qwen/Qwen2.5-1.5B-Instruct",
                         ""},
                    Good{"hf://org/name@main", "", "hf://org/name", "main"},
                    Good{"hf://org/name:main", "", "hf://org/name", "main"},
                    Good{"hf://org/name", "v1.0", "hf://org/name", "v1.0"},
                    Good{"hf://org/name@main", "main", "hf://org/name", "main"},
                    Good{"hf://org/name@refs/pr/7", "", "hf://org/name", "refs/pr/7"},
                    Good{"hf://org/name:feature/x", "", "hf://org/name", "feature/x"},
                    Good{"hf://org/name@" + kCommit, "", "hf://org/name", kCommit},
                    Good{"hf://models/org/name", "", "hf://org/name", ""},
                    Good{"hf://o/_n.a-m_e9", "", "hf://o/_n.a-m_e9", ""},
                    Good{"hf://" + std::string(96, 'o') + "/" + std::string(96, 'n'), "",
                         "hf://" + std::string(96, 'o') + "/" + std::string(96, 'n'), ""}));

INSTANTIATE_TEST_SUITE_P(
    Files, GoodReference,
    testing::Values(
        Good{"https://host/a/b.gguf", "", "https://host/a/b.gguf", ""},
        Good{"https://host:8443/b.gguf?sig=a/b@c", "", "https://host:8443/b.gguf?sig=a/b@c", ""},
        Good{"http://127.0.0.1/b.gguf", "", "http://127.0.0.1/b.gguf", ""},
        Good{"https://host/b#sha256=" + kSha256, "", "https://host/b", ""},
        Good{"https://host/", "", "https://host/", ""},
        Good{"https://host/dir/?sig=x", "", "https://host/dir/?sig=x", ""},
        Good{"https://host/l.json?v=1#manifest", "", "https://host/l.json?v=1#manifest", ""},
        Good{"modelscope://org/name", "v1", "modelscope://org/name", "v1"},
        Good{"modelscope://org/name:dev", "", "modelscope://org/name", "dev"},
        Good{"s3://models/org/a b+c=ü//d", "", "s3://models/org/a b+c=ü//d", ""},
        Good{"s3://models/a@v1:2/", "", "s3://models/a@v1:2", ""},
        Good{"gs://my.models", "", "gs://my.models", ""},
        Good{"file:///models/a", "", "file:///models/a", ""},
        Good{"file:///models/a//", "", "file:///models/a", ""},
        Good{"file:///模型/..a", "", "file:///模型/..a", ""}));

TEST(ModelReferenceTest, KeepsTheDigestOfOneFile) {
  ModelReference reference = ModelReference::Parse("https://host/b#sha256=" + kSha256).value();
  ASSERT_TRUE(reference.expected_sha256.has_value());
  EXPECT_EQ(reference.expected_sha256->Hex(), kSha256);
  EXPECT_FALSE(ModelReference::Parse("https://host/b")->expected_sha256.has_value());
}

TEST(ModelReferenceTest, TellsTheFormsOfUrlsApart) {
  EXPECT_EQ(WebFormOf("https://host/file?a=/"), WebForm::kFile);
  EXPECT_EQ(WebFormOf("https://host/dir/?a=b"), WebForm::kDirectory);
  EXPECT_EQ(WebFormOf("https://host/list.json?a=b#manifest"), WebForm::kManifest);
}

TEST(ModelReferenceTest, ReadsBackTheUriWithItsDigest) {
  for (const char* form : {"https://host/b#", "https://host/dir/#", "https://host/l#manifest&"}) {
    ModelReference reference = ModelReference::Parse(form + ("sha256=" + kSha256)).value();
    EXPECT_EQ(UriWithDigest(reference), form + ("sha256=" + kSha256));
  }
}

struct Bad {
  std::string model;
  std::string revision;
  std::vector<std::string> said;  ///< the value, and the way out
};

class BadReference : public testing::TestWithParam<Bad> {};

TEST_P(BadReference, IsRefusedWithItsValueAndTheWayOut) {
  const Bad& bad = GetParam();
  Result<ModelReference> reference = ModelReference::Parse(bad.model, bad.revision);
  ASSERT_FALSE(reference.has_value()) << reference->ToString();
  EXPECT_EQ(reference.error().code, Code::kInvalidArgument);
  for (const std::string& part : bad.said) EXPECT_THAT(reference.error().message, HasSubstr(part));
  EXPECT_THAT(reference.error().message, Not(HasSubstr("canary")));
}

constexpr const char* kHubForm = "give hf://org/name[@revision]";

Bad NotAHubModel(const std::string& model) { return {model, "", {"'" + model + "'", kHubForm}}; }

INSTANTIATE_TEST_SUITE_P(
    HubNames, BadReference,
    testing::Values(
        NotAHubModel("hf://"), NotAHubModel("hf://gpt2"), NotAHubModel("hf:///name"),
        NotAHubModel("hf://org/"), NotAHubModel("hf://org/name/file.json"),
        NotAHubModel("hf://org/na me"),
        Bad{"hf://org/name?x=1", "", {"'hf://org/name?…'", kHubForm}},
        NotAHubModel("hf://org/-name"), NotAHubModel("hf://org/name."),
        NotAHubModel("hf://../name"), NotAHubModel("hf://org/.."), NotAHubModel("hf://org/a--b"),
        NotAHubModel("hf://org/a..b"), NotAHubModel("hf://org/name.git"),
        NotAHubModel("hf://org/größe"), NotAHubModel("hf://" + std::string(97, 'o') + "/name"),
        Bad{"hf://datasets/org/name", "", {"datasets/org/name", "only models are served"}},
        Bad{"hf://spaces/org/name", "", {"spaces/org/name", "only models are served"}}));

INSTANTIATE_TEST_SUITE_P(
    Revisions, BadReference,
    testing::Values(
        Bad{"hf://org/name@", "", {"'hf://org/name@'", "drop the '@' or name a branch"}},
        Bad{"hf://org/name:", "", {"'hf://org/name:'", "drop the ':' or name a branch"}},
        Bad{"hf://org/name@main", "dev", {"'dev'", "'hf://org/name@main'", "give one of them"}},
        Bad{"hf://org/name:main", "dev", {"'dev'", "'hf://org/name:main'", "give one of them"}},
        Bad{"hf://org/name", "a..b", {"'a..b'", "not a branch, tag, refs/pr/N or commit"}},
        Bad{"hf://org/name", "../x", {"'../x'", "not a branch"}},
        Bad{"hf://org/name", "/main", {"'/main'", "not a branch"}},
        Bad{"hf://org/name", "main/", {"'main/'", "not a branch"}},
        Bad{"hf://org/name", "a//b", {"'a//b'", "not a branch"}},
        Bad{"hf://org/name", "a/.b", {"'a/.b'", "not a branch"}},
        Bad{"hf://org/name", ".", {"'.'", "not a branch"}},
        Bad{"hf://org/name", "a b", {"'a b'", "not a branch"}},
        Bad{"hf://org/name", "a?b", {"'a?b'", "not a branch"}},
        Bad{"hf://org/name", "a\\b", {"'a\\b'", "not a branch"}},
        Bad{"hf://org/name", "a%2fb", {"'a%2fb'", "not a branch"}},
        Bad{"hf://org/name", "a\nb", {"'a?b'", "not a branch"}},
        Bad{"hf://org/name", std::string(201, 'r'), {"not a branch"}},
        Bad{"hf://org/name@a:b", "", {"'a:b'", "not a branch"}},
        Bad{"https://host/file",
            "main",
            {"'main'", "https models have no revisions", "leave it out"}},
        Bad{"s3://models/a", "main", {"'main'", "s3 models have no revisions", "leave it out"}},
        Bad{"s3://", "", {"give s3://bucket/prefix"}},
        Bad{"s3://a", "", {"give s3://bucket/prefix"}},
        Bad{"s3:///key", "", {"give s3://bucket/prefix"}},
        Bad{"s3://buck..et/key", "", {"give s3://bucket/prefix"}},
        Bad{"s3://key:secret@host/key?sig=1",
            "",
            {"'s3://…@host/key?…'", "give s3://bucket/prefix"}},
        Bad{"s3://bucket//key", "", {"give s3://bucket/prefix"}},
        Bad{"s3://bucket/key?versionId=1", "", {"without ?, #"}},
        Bad{"gs://bucket/key#1", "", {"give gs://bucket/prefix"}},
        Bad{"s3://bucket/a\x01", "", {"control characters"}},
        Bad{"file:///a", "main", {"'main'", "file models have no revisions", "leave it out"}}));

constexpr const char* kHttpForm = "give https://host/path/file";

Bad NotOneFile(const std::string& model) { return {model, "", {"'" + model + "'", kHttpForm}}; }

INSTANTIATE_TEST_SUITE_P(
    Urls, BadReference,
    testing::Values(
        NotOneFile("https://"), NotOneFile("https://host"), NotOneFile("https:///file"),
        NotOneFile("https:///dir/"),
        Bad{"https://host?x/file", "", {"'https://host?…'", kHttpForm}},
        Bad{"https://user:secret@host/file", "", {"'https://…@host/file'", kHttpForm}},
        Bad{"https://evil\\@host/file", "", {"'https://…@host/file'", kHttpForm}},
        Bad{"http://user@host/file", "", {"'http://…@host/file'", kHttpForm}},
        NotOneFile("https://host/a b"), NotOneFile("https://host\\evil/file"),
        NotOneFile("https://host/ä"),
        Bad{"https://host/file#md5=00", "", {"#md5=00", "only manifest and sha256=<hex>"}},
        Bad{"https://host/file#", "", {"'https://host/file#'", "only manifest and sha256"}},
        Bad{"https://host/a#manifest&manifest", "", {"only manifest", "each once"}},
        Bad{"https://host/a?sig=canary#x", "", {"'https://host/a?…': after '#'"}},
        Bad{"htps://host/a?sig=canary", "", {"'htps://host/a?…' is not"}},
        Bad{"https://host/dir/#manifest",
            "",
            {"'https://host/dir/#manifest'", "name the manifest"}},
        Bad{"https://host/dir/SHA256SUMS", "", {"is a list of files", "give https://host/dir/"}},
        Bad{"https://host/file#sha256=00", "", {"'00'", "64 lower-case hexadecimal"}},
        Bad{"https://host/\r\nx", "", {"'https://host/??x'", kHttpForm}}));

constexpr const char* kFileForm = "give file:///absolute/path";

Bad NotALocalModel(const std::string& model) { return {model, "", {"'" + model + "'", kFileForm}}; }

INSTANTIATE_TEST_SUITE_P(
    Paths, BadReference,
    testing::Values(NotALocalModel("file://"), NotALocalModel("file:///"),
                    NotALocalModel("file://host/path"), NotALocalModel("file://relative"),
                    NotALocalModel("file:///a/../b"), NotALocalModel("file:///a/./b"),
                    NotALocalModel("file:///.."), NotALocalModel("file:///a//b"),
                    Bad{std::string("file:///a\0b", 11), "", {"'file:///a?b'", kFileForm}},
                    Bad{"file:///a\nb", "", {"'file:///a?b'", "control characters"}},
                    Bad{"file:///a\xff", "", {"'file:///a?'", kFileForm}}));

INSTANTIATE_TEST_SUITE_P(
    Others, BadReference,
    testing::Values(Bad{"", "", {"no model is named", kHubForm}},
                    Bad{"org/name", "", {"'org/name'", "did you mean hf://org/name?"}},
                    Bad{"name", "", {"'name'", kHubForm}},
                    Bad{"ftp://host/x", "", {"'ftp://host/x'", kHubForm}},
                    Bad{"HF://org/name", "", {"'HF://org/name'", kHubForm}},
                    Bad{"ftp://user:secret@host/x", "", {"'ftp://…@host/x'", kHubForm}},
                    Bad{"user:secret@host/x", "", {"'…@host/x'", kHubForm}},
                    Bad{"hf://user:secret@org/name", "", {"'hf://…@org/name'", "is not a"}},
                    Bad{"hf://name@main", "", {"'hf://name@main'", "is not a"}},
                    Bad{"oci://user:secret@r/n", "", {"'oci://…@r/n'", "no repository"}},
                    Bad{"/models/a", "", {"'/models/a'", "file:///absolute/path"}},
                    Bad{std::string(3000, 'x'), "", {"3000 bytes", "at most 2000"}}));

TEST(ModelReferenceTest, ShowsPeopleUriAndRevision) {
  EXPECT_EQ(ModelReference::Parse("hf://org/name:main")->ToString(), "hf://org/name@main");
  EXPECT_EQ(ModelReference::Parse("hf://org/name")->ToString(), "hf://org/name");
}

using Patterns = std::vector<std::string>;

TEST(ModelReferenceTest, WithoutARevisionItCoversAnyOfItsOwn) {
  auto covers = [](const char* text, const char* shown) {
    return ModelReference::Parse(text).value().Covers(shown);
  };
  const std::string digest = "sha256:" + std::string(64, 'a');
  for (const char* shown : {"oci://r.example/m", "oci://r.example/m:v1"}) {
    EXPECT_TRUE(covers("oci://r.example/m", shown)) << shown;
  }
  EXPECT_TRUE(covers("oci://r.example/m", ("oci://r.example/m@" + digest).c_str()));
  EXPECT_FALSE(covers("oci://r.example/m:v1", "oci://r.example/m:v10"));
  EXPECT_FALSE(covers("oci://r.example/m", "oci://r.example/model:v1"));
  EXPECT_TRUE(covers("hf://org/name", "hf://org/name@main"));
  EXPECT_TRUE(covers("hf://org/name:main", "hf://org/name@main"));
  EXPECT_FALSE(covers("hf://org/name@main", "hf://org/name@mainline"));
  EXPECT_TRUE(covers("modelscope://org/name", "modelscope://org/name@v1"));
  // Names that only begin like it.
  EXPECT_FALSE(covers("file:///m/llama", "file:///m/llama:70b"));
  EXPECT_FALSE(covers("https://h.example/a", "https://h.example/a@b"));
  EXPECT_FALSE(covers("s3://bucket/a", "s3://bucket/a:b"));
}

TEST(ModelReferenceTest, FingerprintIsEqualForEqualRequestsOnly) {
  const ModelReference base = ModelReference::Parse("hf://org/name@main").value();
  EXPECT_EQ(base.Fingerprint(), ModelReference::Parse("hf://org/name", "main")->Fingerprint());
  std::vector<ModelReference> others(8, base);
  others[0].uri = "hf://org/name2";
  others[1].revision = "dev";
  others[2].allow_patterns = Patterns{};
  others[3].ignore_patterns = Patterns{};
  others[4].allow_patterns = Patterns{"a", "b"};
  others[5].allow_patterns = Patterns{"ab"};
  others[6].expected_sha256 = Digest::Of("");
  others[7].commit = std::string(40, 'a');
  std::set<std::string> fingerprints = {base.Fingerprint()};
  for (const ModelReference& other : others) {
    EXPECT_FALSE(other == base);
    fingerprints.insert(other.Fingerprint());
  }
  EXPECT_EQ(fingerprints.size(), 9U);
  for (const std::string& fingerprint : fingerprints) EXPECT_TRUE(IsHex(fingerprint, 64));
}

TEST(ModelReferenceTest, FieldsNeverRunIntoEachOther) {
  ModelReference first{.uri = "hf://a/b", .revision = "c"};
  ModelReference second{.uri = "hf://a/bc", .revision = ""};
  EXPECT_NE(first.Fingerprint(), second.Fingerprint());
  first = {.uri = "u", .allow_patterns = Patterns{"a"}, .ignore_patterns = Patterns{}};
  second = {.uri = "u", .allow_patterns = Patterns{}, .ignore_patterns = Patterns{"a"}};
  EXPECT_NE(first.Fingerprint(), second.Fingerprint());
}

}  // namespace
}  // namespace weighhouse
