#include "cache-daemon/source/object_listing.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/file_name.h"

namespace weighhouse::source {
namespace {

using testing::IsEmpty;

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

}  // namespace
}  // namespace weighhouse::source
