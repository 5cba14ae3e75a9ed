#include "base/model.h"

#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse {
namespace {

using testing::HasSubstr;

TEST(LayoutTest, NamesAndReadsBoth) {
  for (Layout layout : {Layout::kFiles, Layout::kHub}) {
    EXPECT_EQ(ParseLayout(LayoutName(layout)).value(), layout);
  }
  EXPECT_EQ(LayoutName(Layout::kFiles), "files");
  EXPECT_EQ(LayoutName(Layout::kHub), "hub");
}

TEST(LayoutTest, RefusesOthersByNameWithThoseThatExist) {
  for (std::string bad : {"", "Hub", "flat", "files "}) {
    Result<Layout> layout = ParseLayout(bad);
    ASSERT_FALSE(layout.has_value());
    EXPECT_EQ(layout.error().code, Code::kInvalidArgument);
    EXPECT_THAT(layout.error().message, HasSubstr("'" + bad + "'"));
    EXPECT_THAT(layout.error().message, HasSubstr("give files or hub"));
  }
}

TEST(CommitIdTest, IsFortyLowerCaseDigits) {
  EXPECT_TRUE(IsCommitId(std::string(40, 'a')));
  EXPECT_FALSE(IsCommitId(std::string(39, 'a')));
  EXPECT_FALSE(IsCommitId(std::string(64, 'a')));
  EXPECT_FALSE(IsCommitId(std::string(40, 'A')));
  EXPECT_FALSE(IsCommitId("main"));
}

TEST(CredentialsTest, GivesTheFirstKeyThatIsNotBlank) {
  Credentials credentials{.values = {{"HF_TOKEN", " \n"}, {"token", " hf_abc\n"}, {"other", "x"}}};
  EXPECT_EQ(credentials.First({"HF_TOKEN", "token"}), "hf_abc");
  EXPECT_EQ(credentials.First({"other", "token"}), "x");
  EXPECT_EQ(credentials.First({"missing", "HF_TOKEN"}), "");
  EXPECT_EQ(credentials.First({}), "");
  EXPECT_FALSE(credentials.empty());
  EXPECT_TRUE(Credentials{}.empty());
}

TEST(FileIdentityTest, NamesItsKinds) {
  EXPECT_EQ(IdentityKindName(FileIdentity::Kind::kSha256), "sha256");
  EXPECT_EQ(IdentityKindName(FileIdentity::Kind::kGitSha1), "git-sha1");
  EXPECT_EQ(IdentityKindName(FileIdentity::Kind::kVersionToken), "version");
  for (std::string_view name : {"sha256", "git-sha1", "version"}) {
    EXPECT_EQ(IdentityKindName(ParseIdentityKind(name).value()), name);
  }
  EXPECT_EQ(ParseIdentityKind("sha1"), std::nullopt);
}

Listing Example() {
  return Listing{
      .origin = "hf+https://huggingface.co/org/name",
      .revision = std::string(40, 'c'),
      .repository = "org/name",
      .anonymous = true,
      .files = {{.path = "a", .size = 10, .identity = {FileIdentity::Kind::kSha256, "1"}},
                {.path = "b", .size = 32, .identity = {FileIdentity::Kind::kGitSha1, "2"}}}};
}

TEST(ListingTest, SumsItsFiles) {
  EXPECT_EQ(Example().TotalBytes(), 42U);
  EXPECT_EQ(Listing{}.TotalBytes(), 0U);
}

TEST(ListingTest, SnapshotIdDependsOnOriginRevisionAndFilesOnly) {
  Listing same = Example();
  same.anonymous = false;
  EXPECT_EQ(same.SnapshotId(), Example().SnapshotId());
  EXPECT_TRUE(IsHex(same.SnapshotId(), 64));

  std::vector<Listing> others(7, Example());
  others[0].origin += "2";
  others[1].revision = "main";
  others[2].files[0].path = "c";
  others[3].files[0].size = 11;
  others[4].files[0].identity.value = "3";
  others[5].files[0].identity.kind = FileIdentity::Kind::kVersionToken;
  others[6].files.pop_back();
  std::set<std::string> ids = {Example().SnapshotId()};
  for (const Listing& other : others) ids.insert(other.SnapshotId());
  EXPECT_EQ(ids.size(), 8U);
}

}  // namespace
}  // namespace weighhouse
