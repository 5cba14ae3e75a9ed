// What a user may write as a model of a registry.

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/model.h"

namespace weighhouse {
namespace {

using testing::HasSubstr;

const std::string kDigest = "sha256:" + std::string(64, 'a');

struct GoodOci {
  std::string model;
  std::string uri;
  std::string revision;
  std::string shown;
};

class GoodOciReference : public testing::TestWithParam<GoodOci> {};

TEST_P(GoodOciReference, ParsesAndIsShownSoThatItParsesAgain) {
  const GoodOci& good = GetParam();
  Result<ModelReference> reference = ModelReference::Parse(good.model);
  ASSERT_TRUE(reference) << reference.error().message;
  EXPECT_EQ(reference->uri, good.uri);
  EXPECT_EQ(reference->revision, good.revision);
  EXPECT_EQ(reference->Scheme(), "oci");
  EXPECT_EQ(reference->ToString(), good.shown);
  EXPECT_EQ(ModelReference::Parse(reference->ToString()), *reference);
}

INSTANTIATE_TEST_SUITE_P(
    Oci, GoodOciReference,
    testing::Values(
        GoodOci{"oci://r/n", "oci://r/n", "", "oci://r/n"},
        GoodOci{"oci://Reg.Example.com:5000/org/name:v1", "oci://reg.example.com:5000/org/name",
                "v1", "oci://reg.example.com:5000/org/name:v1"},
        GoodOci{"oci://r/a.b_c__d---e/f:V_1.0-x", "oci://r/a.b_c__d---e/f", "V_1.0-x",
                "oci://r/a.b_c__d---e/f:V_1.0-x"},
        GoodOci{"oci://r/n@" + kDigest, "oci://r/n", kDigest, "oci://r/n@" + kDigest},
        GoodOci{"oci://r/n:v1@" + kDigest, "oci://r/n", kDigest, "oci://r/n@" + kDigest},
        GoodOci{"oci://r/n@v1", "oci://r/n", "v1", "oci://r/n:v1"},
        GoodOci{"oci://[::1]:5000/n:v1", "oci://[::1]:5000/n", "v1", "oci://[::1]:5000/n:v1"}));

class BadOciReference : public testing::TestWithParam<std::string> {};

TEST_P(BadOciReference, IsRefusedWithTheRightForm) {
  Result<ModelReference> reference = ModelReference::Parse(GetParam());
  ASSERT_FALSE(reference) << reference->ToString();
  EXPECT_EQ(reference.error().code, Code::kInvalidArgument);
  EXPECT_THAT(reference.error().message, HasSubstr("give oci://registry[:port]/repository"));
}

INSTANTIATE_TEST_SUITE_P(
    Oci, BadOciReference,
    testing::Values("oci://", "oci://r", "oci://r/", "oci:///n", "oci://r/N", "oci://r/n/",
                    "oci://r//n", "oci://r/n..m", "oci://r/n___m", "oci://r/-n", "oci://r/n-",
                    "oci://r/a-_b", "oci://r/../n", "oci://r/n:", "oci://r/n@",
                    "oci://r/n:@" + kDigest, "oci://r/n:v1@", "oci://r/n:-v", "oci://r/n:.v",
                    "oci://r/n:a b", "oci://r/n:" + std::string(129, 't'), "oci://r/n@sha256:00",
                    "oci://r/n@sha256:" + std::string(64, 'A'),
                    "oci://r/n@sha512:" + std::string(128, 'a'), "oci://r/n?x=1", "oci://r/n#x",
                    "oci://user@r/n", "oci://r:/n", "oci://r:5000x/n", "oci://r:123456/n",
                    "oci://r_s/n", "oci://.r/n", "oci://r./n", "oci://a..b/n", "oci://[::1/n",
                    "oci://[]/n", "oci://[r]/n", "oci://r/" + std::string(256, 'n')));

TEST(OciReferenceTest, TakesItsTagBesideIt) {
  EXPECT_EQ(ModelReference::Parse("oci://r/n", "v1")->revision, "v1");
  EXPECT_EQ(ModelReference::Parse("oci://r/n", kDigest)->revision, kDigest);
  EXPECT_FALSE(ModelReference::Parse("oci://r/n:v1", "v2"));
  EXPECT_FALSE(ModelReference::Parse("oci://r/n", "a/b"));
}

TEST(OciReferenceTest, OnlyADigestIsACommit) {
  ModelReference oci{.uri = "oci://r/n"}, hub{.uri = "hf://o/n"}, web{.uri = "https://h/f"};
  const std::string git(40, 'a');
  EXPECT_TRUE(oci.IsCommit(kDigest) && hub.IsCommit(git));
  EXPECT_FALSE(oci.IsCommit(git) || hub.IsCommit(kDigest) || web.IsCommit(git) ||
               web.IsCommit(kDigest));
  EXPECT_TRUE(oci.HasCommits() && hub.HasCommits());
  EXPECT_FALSE(web.HasCommits());
  EXPECT_EQ(oci.RevisionOrDefault(), "latest");
}

}  // namespace
}  // namespace weighhouse
