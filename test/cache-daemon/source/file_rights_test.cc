#include "cache-daemon/source/file_rights.h"

#include <atomic>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/mutex.h"

namespace weighhouse::source {
namespace {

std::vector<ListedFile> FilesOfOneByte(int count) {
  std::vector<ListedFile> files;
  for (int i = 0; i < count; ++i) files.push_back({.path = fmt::format("d/{}", i), .size = 1});
  return files;
}

TEST(ReadEachTest, OneRefusalIsEnoughWhereverItIs) {
  std::vector<ListedFile> files = FilesOfOneByte(300);
  std::atomic<int> asked = 0;
  auto read = [&](const ListedFile& file) -> Result<> {
    ++asked;
    if (file.path == "d/299") return Fail(Code::kPermissionDenied, "no");
    return {};
  };
  Result<> shown = ReadEach(files, {}, read);
  ASSERT_FALSE(shown);
  EXPECT_EQ(shown.error().code, Code::kPermissionDenied);
  files.pop_back();
  asked = 0;
  EXPECT_TRUE(ReadEach(files, {}, read));
  EXPECT_EQ(asked, 299);
}

TEST(ReadEachTest, FilesWithoutBytesShowNothing) {
  std::vector<ListedFile> files = {{.path = "empty", .size = 0}, {.path = "a", .size = 1}};
  auto read = [&](const ListedFile& file) -> Result<> {
    if (file.size > 0) return {};
    return Fail(Code::kInternal, "it was asked for");
  };
  EXPECT_TRUE(ReadEach(files, {}, read));
  EXPECT_TRUE(ReadEach({}, {}, read));
}

TEST(ReadEachTest, SixteenAreReadAtOnceAndNoMore) {
  Mutex mutex;
  ConditionVariable changed;
  int now = 0, most = 0, all = 0;
  auto read = [&](const ListedFile&) -> Result<> {
    auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    MutexLock lock(mutex);
    most = std::max(most, ++now);
    ++all;
    changed.NotifyAll();
    // Nobody ends before so many have begun.
    while (all < 16) {
      if (!changed.WaitUntil(lock, give_up)) break;
    }
    --now;
    return {};
  };
  EXPECT_TRUE(ReadEach(FilesOfOneByte(100), {}, read));
  EXPECT_EQ(most, 16);
}

TEST(CheckShownTest, SaysWhatCameInThePlaceOfTheFile) {
  ListedFile file{.path = "a", .size = 4};
  EXPECT_TRUE(CheckShown(file, 4, "a"));
  for (std::optional<Bytes> found : {std::optional<Bytes>(27), std::optional<Bytes>()}) {
    Result<> shown = CheckShown(file, found, "a");
    ASSERT_FALSE(shown);
    EXPECT_EQ(shown.error().code, Code::kPermissionDenied);
    EXPECT_TRUE(shown.error().rights_may_help);
    EXPECT_THAT(shown.error().message, testing::HasSubstr("listed with 4 bytes"));
    EXPECT_THAT(shown.error().message, testing::HasSubstr(found ? "27 bytes" : "unknown size"));
  }
}

}  // namespace
}  // namespace weighhouse::source
