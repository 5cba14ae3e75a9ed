#include "cache-daemon/source/hub_listing.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/file_name.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;

const std::string kSha1(40, 'a');
const std::string kSha256(64, 'b');

Code CodeOf(std::string_view page) {
  std::vector<ListedFile> files;
  Result<> outcome = AppendHubTreePage(page, files);
  return outcome ? Code{} : outcome.error().code;
}

std::string Entry(std::string_view rest) {
  return fmt::format(R"([{{"type":"file","path":"a","oid":"{}",{}}}])", kSha1, rest);
}

TEST(ParseHubRevisionTest, FindsTheCommit) {
  auto revision = ParseHubRevision(fmt::format(
      R"({{"id":"o/n","sha":"{}","gated":false,"siblings":[{{"rfilename":"x","sha":"y"}}],"config":{{"sha":"z"}}}})",
      kSha1));
  ASSERT_TRUE(revision);
  EXPECT_EQ(revision->commit, kSha1);
  EXPECT_FALSE(revision->may_be_gated);
}

TEST(ParseHubRevisionTest, TakesARepositoryForGatedUnlessTheHubSaysNo) {
  for (const char* gated : {"", R"(,"gated":"manual")", R"(,"gated":"auto")", R"(,"gated":true)",
                            R"(,"gated":null)", R"(,"gated":0)"}) {
    auto revision = ParseHubRevision(fmt::format(R"({{"sha":"{}"{}}})", kSha1, gated));
    ASSERT_TRUE(revision);
    EXPECT_TRUE(revision->may_be_gated) << gated;
  }
}

TEST(ParseHubRevisionTest, RefusesWhatIsNoCommit) {
  for (const char* bad : {R"({})", R"({"sha":null})", R"({"sha":5})", R"({"sha":"main"})",
                          R"({"sha":"../../../../etc/passwd"})",
                          R"({"sha":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})"}) {
    auto revision = ParseHubRevision(bad);
    ASSERT_FALSE(revision) << bad;
    EXPECT_EQ(revision.error().code, Code::kInvalidArgument) << bad;
  }
}

TEST(ParseHubRevisionTest, CallsWhatIsNoJsonTemporary) {
  for (const char* bad : {"", "<html>Log in</html>", "[]", "5", "{", "\xff", R"("sha")"}) {
    auto revision = ParseHubRevision(bad);
    ASSERT_FALSE(revision) << bad;
    EXPECT_EQ(revision.error().code, Code::kUnavailable) << bad;
  }
}

TEST(AppendHubTreePageTest, ReadsFilesOfBothKinds) {
  std::vector<ListedFile> files;
  std::string page = fmt::format(
      R"([{{"type":"directory","path":"d","oid":"x","size":0}},
          {{"type":"file","path":"d/config.json","size":12,"oid":"{0}","lastCommit":{{"id":"q"}}}},
          {{"type":"file","path":"model.safetensors","size":5368709120,"oid":"{0}","xetHash":"h",
            "lfs":{{"oid":"{1}","size":5368709120,"pointerSize":135}}}}])",
      kSha1, kSha256);
  ASSERT_TRUE(AppendHubTreePage(page, files));
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0], (ListedFile{"d/config.json", 12, {FileIdentity::Kind::kGitSha1, kSha1}}));
  EXPECT_EQ(files[1],
            (ListedFile{"model.safetensors", 5368709120, {FileIdentity::Kind::kSha256, kSha256}}));
}

TEST(AppendHubTreePageTest, AppendsPageAfterPage) {
  std::vector<ListedFile> files;
  ASSERT_TRUE(AppendHubTreePage(Entry(R"("size":1)"), files));
  ASSERT_TRUE(AppendHubTreePage("[]", files));
  ASSERT_TRUE(AppendHubTreePage(Entry(R"("size":1)"), files));
  EXPECT_EQ(files.size(), 2U);
}

TEST(AppendHubTreePageTest, TakesAnOidWithItsAlgorithm) {
  EXPECT_EQ(CodeOf(Entry(fmt::format(R"("size":1,"lfs":{{"oid":"sha256:{}","size":1}})", kSha256))),
            Code{});
}

TEST(AppendHubTreePageTest, RefusesEntriesThatLieOrLack) {
  for (const std::string& rest :
       {std::string(R"("x":1)"), std::string(R"("size":-1)"), std::string(R"("size":"1")"),
        std::string(R"("size":1.5)"), std::string(R"("size":1e300)"), std::string(R"("size":null)"),
        std::string(R"("size":99999999999999999999)"), std::string(R"("size":1,"oid":"zz")"),
        std::string(R"("size":1,"lfs":{})"), std::string(R"("size":1,"lfs":{"oid":"zz","size":1})"),
        fmt::format(R"("size":1,"lfs":{{"oid":"{}","size":2}})", kSha256),
        std::string(R"("size":1,"path":"")"), std::string(R"("size":1,"path":5)")}) {
    EXPECT_EQ(CodeOf(Entry(rest)), Code::kInvalidArgument) << rest;
  }
}

TEST(AppendHubTreePageTest, CallsWhatIsNoListingTemporary) {
  for (const char* bad :
       {"", "{}", R"({"error":"x"})", "null", "[", "[{]", "<html>", "[1,2,\xff]"}) {
    EXPECT_EQ(CodeOf(bad), Code::kUnavailable) << bad;
  }
}

TEST(AppendHubTreePageTest, SkipsWhatAreNoEntries) {
  EXPECT_EQ(CodeOf(R"([1,"a",null,[],[[{"type":"file"}]],{},{"type":"file2"},{"type":["file"]}])"),
            Code{});
}

TEST(AppendHubTreePageTest, SurvivesNestingWithoutEnd) {
  EXPECT_EQ(CodeOf(std::string(1'000'000, '[')), Code::kUnavailable);
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += R"({"lfs":)";
  EXPECT_EQ(CodeOf("[" + nested), Code::kUnavailable);
}

TEST(AppendHubTreePageTest, StopsAtTheLimitOfFiles) {
  std::vector<ListedFile> files(kMaxFiles);
  Result<> outcome = AppendHubTreePage(Entry(R"("size":1)"), files);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kInvalidArgument);
}

TEST(AppendHubTreePageTest, NamesTheEntryInPrintableForm) {
  std::vector<ListedFile> files;
  Result<> outcome = AppendHubTreePage(R"([{"type":"file","path":"a\u001bb"}])", files);
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message, HasSubstr("'a?b'"));
}

TEST(HubErrorTextTest, ReadsTheThreeForms) {
  EXPECT_EQ(HubErrorText(R"({"error":"no"})"), "no");
  EXPECT_EQ(HubErrorText(R"({"error":["first","second"]})"), "first");
  EXPECT_EQ(HubErrorText(R"({"errors":[{"message":"bad"}]})"), "bad");
  for (const char* none : {"", "no", "{}", "[]", R"({"error":{}})", R"({"errors":[]})",
                           R"({"errors":[5]})", R"({"error":5})"}) {
    EXPECT_EQ(HubErrorText(none), "") << none;
  }
  std::string many = "0";
  for (int i = 0; i < 100'000; ++i) many += ",0";
  EXPECT_EQ(HubErrorText(R"({"error": "x", "more": [)" + many + "]}"), "") << "too many values";
}

}  // namespace
}  // namespace weighhouse::source
