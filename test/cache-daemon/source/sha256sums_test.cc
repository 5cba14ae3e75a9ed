#include "cache-daemon/source/sha256sums.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

const std::string kOne(64, '1'), kTwo(64, '2');

TEST(Sha256SumsTest, ReadsWhatSha256sumWrites) {
  auto sums = ParseSha256Sums("# of the model\n" + kOne + "  config.json\n" + kTwo +
                              " *./sub/a b.bin\r\n\n\\" + kOne +
                              "  new\\nline\\\\\nSHA256 (bsd (1).bin) = " + kTwo);
  ASSERT_TRUE(sums) << sums.error().message;
  std::map<std::string, Digest> expected = {
      {"config.json", Digest::FromHex(kOne).value()},
      {"sub/a b.bin", Digest::FromHex(kTwo).value()},
      {"new\nline\\", Digest::FromHex(kOne).value()},
      {"bsd (1).bin", Digest::FromHex(kTwo).value()},
  };
  EXPECT_EQ(*sums, expected);
}

TEST(Sha256SumsTest, NamesTheLineThatIsNone) {
  for (const std::string& bad : {std::string("<html>"), kOne + " config.json", kOne + "  ",
                                 kOne.substr(1) + "  f", "\\" + kOne + "  a\\x"}) {
    auto sums = ParseSha256Sums(kTwo + "  good\n" + bad + "\n");
    ASSERT_FALSE(sums) << bad;
    EXPECT_EQ(sums.error().code, Code::kInvalidArgument);
    EXPECT_THAT(sums.error().message, testing::HasSubstr("line 2"));
  }
}

TEST(Sha256SumsTest, RefusesTwoDigestsOfOnePath) {
  EXPECT_TRUE(ParseSha256Sums(kOne + "  a\n" + kOne + "  ./a\n"));
  EXPECT_FALSE(ParseSha256Sums(kOne + "  a\n" + kTwo + "  a\n"));
}

TEST(Sha256SumsTest, GivesNamedFilesTheirIdentityAndLeavesOthers) {
  FileIdentity version{.kind = FileIdentity::Kind::kVersionToken, .value = "v"};
  std::vector<ListedFile> files = {{.path = "a", .size = 1, .identity = version},
                                   {.path = "b", .size = 1, .identity = version}};
  ASSERT_TRUE(ApplySha256Sums({{"a", Digest::FromHex(kOne).value()}}, files));
  EXPECT_EQ(files[0].identity.kind, FileIdentity::Kind::kSha256);
  EXPECT_EQ(files[0].identity.value, kOne);
  EXPECT_EQ(files[1].identity, version);
}

TEST(Sha256SumsTest, RefusesAModelThatLacksWhatIsListed) {
  std::vector<ListedFile> files = {{.path = "a", .size = 1, .identity = {}}};
  std::map<std::string, Digest> sums = {{"a", Digest()}, {"SHA256SUMS", Digest()}, {"z/b", {}}};
  Result<> half = ApplySha256Sums(sums, files);
  ASSERT_FALSE(half);
  EXPECT_EQ(half.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(half.error().message, testing::HasSubstr("'z/b', which isn't there"));
  EXPECT_TRUE(ApplySha256Sums(sums, files, [](const std::string& path) { return path == "z/b"; }));
}

TEST(Sha256SumsTest, OfOneFileTheOthersNeedNotBeThere) {
  ListedFile file{.path = "a", .size = 1, .identity = {}};
  ASSERT_TRUE(ApplySha256Text(kOne + "  b\n", "s3://b/SHA256SUMS", file));
  EXPECT_EQ(file.identity, FileIdentity());
  ASSERT_TRUE(ApplySha256Text(kOne + "  b\n" + kTwo + "  a\n", "s3://b/SHA256SUMS", file));
  EXPECT_EQ(file.identity.value, kTwo);
  EXPECT_THAT(ApplySha256Text("<html>", "s3://b/SHA256SUMS", file).error().message,
              testing::StartsWith("s3://b/SHA256SUMS"));
}

}  // namespace
}  // namespace weighhouse::source
