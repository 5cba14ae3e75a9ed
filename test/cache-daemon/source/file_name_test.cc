#include "cache-daemon/source/file_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using testing::HasSubstr;

std::string FaultOf(std::string_view path) {
  Result<> outcome = CheckPath(path);
  if (outcome) return "";
  EXPECT_EQ(outcome.error().code, Code::kInvalidArgument);
  return outcome.error().message;
}

Listing ListingNamed(std::vector<std::string> paths) {
  Listing listing;
  for (std::string& path : paths) listing.files.push_back({.path = std::move(path), .size = 1});
  return listing;
}

TEST(CheckPathTest, TakesTheNamesThatModelsHave) {
  for (const char* path : {"config.json", "model-00001-of-00163.safetensors",
                           "1_Pooling/config.json", ".gitattributes", "a b.txt", "Überblick.md",
                           "模型.bin", "..a", "a..", "...", "vocab*", "C:file", "-rf", "a/b/c/d"}) {
    EXPECT_EQ(FaultOf(path), "") << path;
  }
}

TEST(CheckPathTest, RefusesWhatWouldLeaveTheTree) {
  for (const char* path :
       {"..", "../a", "a/..", "a/../b", ".", "./a", "a/./b", "a/.", "/etc/passwd", "/", "a//b",
        "a/", "a\\..\\b", "..\\a", "C:\\a", "\\\\host\\share"}) {
    EXPECT_NE(FaultOf(path), "") << path;
  }
  EXPECT_NE(FaultOf(""), "");
}

TEST(CheckPathTest, RefusesWhatTerminalsAndKernelsTrip) {
  using namespace std::string_view_literals;
  for (std::string_view path : {"a\0b"sv, "a\nb"sv, "\x1b[2Ja"sv, "a\x7f"sv, "a\tb"sv,
                                "\xc2\x9b"
                                "31m"sv,
                                "\xff"sv, "\xc0\xae\xc0\xae"sv, "\xed\xa0\x80"sv, "a\xe2\x82"sv}) {
    EXPECT_NE(FaultOf(path), "");
  }
}

TEST(CheckPathTest, BoundsComponentsAndPaths) {
  EXPECT_EQ(FaultOf(std::string(255, 'a')), "");
  EXPECT_THAT(FaultOf(std::string(256, 'a')), HasSubstr("255"));
  std::string deep;
  for (int i = 1; i < 64; ++i) deep += "d/";
  EXPECT_EQ(FaultOf(deep + "e"), "");
  EXPECT_THAT(FaultOf(deep + "d/e"), HasSubstr("64 deep"));
  std::string long_one;
  for (int i = 0; i < 16; ++i) long_one += std::string(250, 'd') + "/";
  long_one += std::string(4096 - long_one.size(), 'e');
  EXPECT_EQ(FaultOf(long_one), "");
  EXPECT_THAT(FaultOf(long_one + "f"), HasSubstr("4096"));
}

TEST(CheckPathTest, NamesThePathInPrintableForm) {
  EXPECT_THAT(FaultOf("evil\x1b]0;name"), HasSubstr("'evil?]0;name'"));
}

TEST(CheckListingTest, TakesAGoodListing) {
  EXPECT_TRUE(CheckListing(ListingNamed({"a", "a-b", "b/a", "b/c/d"})));
}

TEST(CheckListingTest, RefusesAnEmptyOne) { EXPECT_FALSE(CheckListing(ListingNamed({}))); }

TEST(CheckListingTest, RefusesAFileThatIsADirectoryToo) {
  // "a-b" sorts between the two.
  Result<> outcome = CheckListing(ListingNamed({"a", "a-b", "a/b"}));
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message, HasSubstr("'a', which is both a file and a directory"));
  EXPECT_FALSE(CheckListing(ListingNamed({"x/y", "x/y/z/w"})));
}

TEST(CheckListingTest, RefusesTheSamePathTwice) {
  EXPECT_FALSE(CheckListing(ListingNamed({"a", "b", "a"})));
}

TEST(CheckListingTest, RefusesABadPathAmongGoodOnes) {
  EXPECT_FALSE(CheckListing(ListingNamed({"a", "../b"})));
}

TEST(CheckListingTest, RefusesSizesThatCantBe) {
  Listing listing = ListingNamed({"a", "b"});
  listing.files[0].size = kMaxFileBytes + 1;
  EXPECT_FALSE(CheckListing(listing));
  listing.files[0].size = kMaxFileBytes;
  listing.files[1].size = 0;
  EXPECT_TRUE(CheckListing(listing));
  listing.files[1].size = UINT64_MAX - kMaxFileBytes + 2;  // would wrap
  EXPECT_FALSE(CheckListing(listing));
  listing.files[1].size = 1;
  EXPECT_FALSE(CheckListing(listing)) << "the sum is beyond the limit";
}

TEST(CheckListingTest, BoundsTheNumberOfFiles) {
  std::vector<std::string> paths;
  for (size_t i = 0; i < kMaxFiles; ++i) paths.push_back(std::to_string(i));
  EXPECT_TRUE(CheckListing(ListingNamed(paths)));
  paths.push_back("more");
  EXPECT_FALSE(CheckListing(ListingNamed(paths)));
}

}  // namespace
}  // namespace weighhouse::source
