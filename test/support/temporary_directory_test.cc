#include "test/support/temporary_directory.h"

#include <gtest/gtest.h>

namespace weighhouse {
namespace {

TEST(TemporaryDirectoryTest, VanishesWithWhatItHolds) {
  std::filesystem::path path;
  {
    const TemporaryDirectory directory;
    path = directory.path();
    WriteTestFile(directory / "a/b/file", "content");
    EXPECT_EQ(ReadTestFile(directory / "a/b/file"), "content");
    std::filesystem::permissions(directory / "a/b", std::filesystem::perms::owner_read);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(PatternBytesTest, DependOnTheSeedAlone) {
  EXPECT_EQ(PatternBytes(1001, 7), PatternBytes(1001, 7));
  EXPECT_NE(PatternBytes(1001, 7), PatternBytes(1001, 8));
  EXPECT_EQ(PatternBytes(1001, 7).size(), 1001U);
}

}  // namespace
}  // namespace weighhouse
