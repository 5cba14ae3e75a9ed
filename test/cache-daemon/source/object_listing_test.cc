#include "cache-daemon/source/object_listing.h"

#include <atomic>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/file_name.h"

namespace weighhouse::source {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> PathsOf(const std::vector<const ListedFile*>& files) {
  std::vector<std::string> paths;
  for (const ListedFile* file : files) paths.push_back(file->path);
  return paths;
}

TEST(ObjectListTest, KeepsNoMoreThanAListingMayHave) {
  ObjectList files("s3://b/m/", "m/");
  for (size_t i = 0; i < kMaxFiles; ++i) ASSERT_TRUE(files.Add(fmt::format("m/{}", i), 1, "e"));
  auto one_more = files.Add("m/more", 1, "e");
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code, Code::kInvalidArgument);
  EXPECT_EQ(files.Take().size(), kMaxFiles);
}

TEST(ObjectListTest, KeepsNoMoreOfNamesThanItsBytes) {
  ObjectList files("s3://b/", "");
  std::string long_name = fmt::format("{0}/{0}/{0}/{0}/", std::string(250, 'd'));
  size_t kept = 0;
  while (kept < kMaxFiles && files.Add(fmt::format("{}{}", long_name, kept), 1, "e")) ++kept;
  EXPECT_LE(kept * long_name.size(), ObjectList::kMaxBytes);
  EXPECT_GT(kept, 10'000U);
}

TEST(ObjectListTest, RefusesANameWhenItComes) {
  ObjectList files("s3://b/m/", "m/");
  for (const char* key : {"m/../a", "other/a", "m//a", "m/"}) {
    EXPECT_FALSE(files.Add(key, 1, "e")) << key;
  }
  EXPECT_THAT(files.Take(), IsEmpty());
}

TEST(ShowRightsTest, AsksForTheLargestOfEachDirectory) {
  std::vector<ListedFile> files = {{.path = "a", .size = 1},     {.path = "b", .size = 2},
                                   {.path = "x/a", .size = 9},   {.path = "x/b", .size = 8},
                                   {.path = "x/y/a", .size = 3}, {.path = "empty/a", .size = 0}};
  EXPECT_THAT(PathsOf(FilesThatShowRights(files)), ElementsAre("x/a", "x/y/a", "b"));
  EXPECT_THAT(FilesThatShowRights({}), IsEmpty());
  files.clear();
  for (Bytes i = 1; i <= 200; ++i) files.push_back({.path = fmt::format("{}/f", i), .size = i});
  std::vector<const ListedFile*> shown = FilesThatShowRights(files);
  ASSERT_EQ(shown.size(), 64U);
  EXPECT_EQ(shown.front()->size, 200U);
  EXPECT_EQ(shown.back()->size, 137U);
}

TEST(ShowRightsTest, OneRefusalIsEnough) {
  std::vector<ListedFile> files;
  for (int i = 0; i < 20; ++i) files.push_back({.path = fmt::format("{}/f", i), .size = 1});
  std::atomic<int> asked = 0;
  Result<> shown = ShowRights(files, {}, [&](const ListedFile& file) -> Result<> {
    ++asked;
    if (file.path == "7/f") return Fail(Code::kPermissionDenied, "no");
    return {};
  });
  ASSERT_FALSE(shown);
  EXPECT_EQ(shown.error().code, Code::kPermissionDenied);
  asked = 0;
  EXPECT_TRUE(ShowRights(files, {}, [&](const ListedFile&) -> Result<> {
    ++asked;
    return {};
  }));
  EXPECT_EQ(asked, 20);
}

}  // namespace
}  // namespace weighhouse::source
