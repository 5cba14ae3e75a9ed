#include "test/cache-daemon/io/fault_filesystem.h"

#include <cerrno>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FaultFilesystemTest : public testing::Test {
 protected:
  bool Write(const std::string& name) { return filesystem_.WriteFile(Path(name), "x").has_value(); }
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }

  TemporaryDirectory directory_;
  PosixFilesystem posix_;
  FaultFilesystem filesystem_{posix_};
};

TEST_F(FaultFilesystemTest, FailsTheChosenOperationOnly) {
  filesystem_.FailAt({.operation = "WriteFile", .at = 2, .times = 2, .error_number = EIO});
  EXPECT_TRUE(Write("1"));
  EXPECT_FALSE(Write("2"));
  EXPECT_FALSE(Write("3"));
  EXPECT_TRUE(Write("4"));
  EXPECT_FALSE(posix_.Status(Path("2")).has_value());  // the disk was not touched
}

TEST_F(FaultFilesystemTest, FiltersByEitherPath) {
  filesystem_.FailAt({.operation = "Rename", .path = "target", .error_number = ENOSPC});
  ASSERT_TRUE(Write("a"));
  ASSERT_TRUE(Write("target-not-renamed"));
  Result<> renamed = filesystem_.Rename(Path("a"), Path("target"), Replace::kNever);
  ASSERT_FALSE(renamed.has_value());
  EXPECT_EQ(renamed.error().code, Code::kResourceExhausted);
  EXPECT_THAT(renamed.error().message, HasSubstr("No space left"));
}

TEST_F(FaultFilesystemTest, FailsForeverUntilCleared) {
  filesystem_.FailAt({.times = Fault::kForever, .error_number = EIO});
  EXPECT_FALSE(Write("a"));
  EXPECT_FALSE(filesystem_.List(directory_.path()).has_value());
  filesystem_.ClearFaults();
  EXPECT_TRUE(Write("a"));
}

TEST_F(FaultFilesystemTest, CountsAndRemembersCalls) {
  ASSERT_TRUE(Write("a"));
  ASSERT_TRUE(filesystem_.Link(Path("a"), Path("b")).has_value());
  EXPECT_EQ(filesystem_.Count(), 2);
  EXPECT_EQ(filesystem_.Count("Link"), 1);
  EXPECT_EQ(filesystem_.Count("", "/b"), 1);
  EXPECT_THAT(filesystem_.Calls(),
              ElementsAre("WriteFile " + Path("a"), HasSubstr("Link " + Path("a"))));
}

TEST_F(FaultFilesystemTest, TooManyLinksLooksAsOnTheRealDisk) {
  ASSERT_TRUE(Write("a"));
  filesystem_.FailAt({.operation = "Link", .error_number = EMLINK});
  EXPECT_EQ(filesystem_.Link(Path("a"), Path("b")).error().code, Code::kOutOfRange);
}

}  // namespace
}  // namespace weighhouse::io
