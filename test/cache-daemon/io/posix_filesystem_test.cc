// PosixFilesystem where the kernel or the filesystem below has less than usual.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/io/filesystem.h"
#include "test/cache-daemon/io/denied_calls.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

using testing::HasSubstr;

class PosixFilesystemTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return (directory_ / name).string(); }
  void WriteFile(const std::string& name, std::string_view content) {
    ASSERT_TRUE(filesystem_.WriteFile(Path(name), content).has_value());
  }
  std::string Content(const std::string& name) {
    return filesystem_.ReadFile(Path(name), kMiB).value_or("unreadable");
  }

  TemporaryDirectory directory_;
  PosixFilesystem filesystem_;
};

TEST_F(PosixFilesystemTest, ReadsThroughTheCacheWhereThereIsNoDirectIo) {
  Result<OpenedFile> file = filesystem_.OpenForRead("/proc/self/status", IoMode::kDirect);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ(file->mode, IoMode::kBuffered);
  EXPECT_EQ(::fcntl(file->fd.get(), F_GETFL) & O_DIRECT, 0);
}

TEST_F(PosixFilesystemTest, CreatesBufferedFilesWhereDirectIoIsRefused) {
  RunWithDenied({{SYS_fcntl, EINVAL, 1, F_SETFL}}, [&] {
    Result<OpenedFile> file = filesystem_.CreateFile(Path("data"), IoMode::kDirect);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    EXPECT_EQ(file->mode, IoMode::kBuffered);
    EXPECT_EQ(::pwrite(file->fd.get(), "odd", 3, 1), 3);
  });
}

TEST_F(PosixFilesystemTest, LeavesNoFileBehindThatItCouldNotOpenAsAsked) {
  RunWithDenied({{SYS_fcntl, EIO, 1, F_SETFL}}, [&] {
    EXPECT_FALSE(filesystem_.CreateFile(Path("data"), IoMode::kDirect).has_value());
  });
  EXPECT_THAT(filesystem_.List(directory_.path()).value(), testing::IsEmpty());
}

TEST_F(PosixFilesystemTest, ReadsFilesOfUnknownSize) {
  Result<std::string> boot_id = filesystem_.ReadFile("/proc/sys/kernel/random/boot_id", 100);
  ASSERT_TRUE(boot_id.has_value());
  EXPECT_EQ(boot_id->size(), 37U);
}

TEST_F(PosixFilesystemTest, AllocateSetsTheLengthWhereNothingCanBeAllocated) {
  for (int error_number : {EOPNOTSUPP, ENOSYS}) {
    std::string name = std::to_string(error_number);
    OpenedFile file = *filesystem_.CreateFile(Path(name), IoMode::kBuffered);
    RunWithDenied({{SYS_fallocate, error_number}}, [&] {
      EXPECT_TRUE(filesystem_.Allocate(file.fd.get(), kMiB, Path(name)).has_value());
      EXPECT_TRUE(filesystem_.Allocate(file.fd.get(), 4 * kKiB, Path(name)).has_value());
    });
    EXPECT_EQ(filesystem_.Status(Path(name))->size, kMiB);
    EXPECT_EQ(filesystem_.Status(Path(name))->allocated, 0U);
  }
}

TEST_F(PosixFilesystemTest, AFullDiskIsResourceExhausted) {
  OpenedFile file = *filesystem_.CreateFile(Path("data"), IoMode::kBuffered);
  RunWithDenied({{SYS_fallocate, ENOSPC}}, [&] {
    Result<> allocated = filesystem_.Allocate(file.fd.get(), kMiB, Path("data"));
    ASSERT_FALSE(allocated.has_value());
    EXPECT_EQ(allocated.error().code, Code::kResourceExhausted);
    EXPECT_THAT(allocated.error().message, HasSubstr("No space left"));
  });
}

class RenameWithoutNoReplace : public PosixFilesystemTest, public testing::WithParamInterface<int> {
 protected:
  void Run(const std::function<void()>& body) {
    RunWithDenied({{SYS_renameat2, GetParam()}}, body);
  }
};

TEST_P(RenameWithoutNoReplace, StillReplacesNothing) {
  WriteFile("new", "new");
  WriteFile("old", "old");
  Run([&] {
    Result<> taken = filesystem_.Rename(Path("new"), Path("old"), Replace::kNever);
    ASSERT_FALSE(taken.has_value());
    EXPECT_EQ(taken.error().code, Code::kAlreadyExists);
    EXPECT_TRUE(filesystem_.Rename(Path("new"), Path("free"), Replace::kNever).has_value());
  });
  EXPECT_EQ(Content("old"), "old");
  EXPECT_EQ(Content("free"), "new");
}

TEST_P(RenameWithoutNoReplace, StillRenamesDirectoriesAndReplacesNoEmptyOne) {
  ASSERT_TRUE(filesystem_.MakeDirectory(Path("new")).has_value());
  WriteFile("new/file", "x");
  ASSERT_TRUE(filesystem_.MakeDirectory(Path("empty")).has_value());
  Run([&] {
    Result<> taken = filesystem_.Rename(Path("new"), Path("empty"), Replace::kNever);
    ASSERT_FALSE(taken.has_value());
    EXPECT_EQ(taken.error().code, Code::kAlreadyExists);
    EXPECT_TRUE(filesystem_.Rename(Path("new"), Path("free"), Replace::kNever).has_value());
  });
  EXPECT_EQ(Content("free/file"), "x");
}

TEST_P(RenameWithoutNoReplace, LetsOneOfManyThreadsWin) {
  constexpr size_t kThreads = 8;
  for (size_t i = 0; i < kThreads; ++i) WriteFile("from" + std::to_string(i), std::to_string(i));
  std::array<bool, kThreads> won{};
  Run([&] {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        std::string from = Path("from" + std::to_string(i));
        won[i] = filesystem_.Rename(from, Path("to"), Replace::kNever).has_value();
      });
    }
  });
  EXPECT_EQ(std::ranges::count(won, true), 1);
  EXPECT_EQ(filesystem_.List(directory_.path())->size(), kThreads);
}

INSTANTIATE_TEST_SUITE_P(Errors, RenameWithoutNoReplace, testing::Values(EINVAL, ENOSYS));

TEST_F(PosixFilesystemTest, ANameTooManyIsOutOfRange) {
  WriteFile("blob", "x");
  long call = SYS_linkat;
  RunWithDenied({{call, EMLINK}}, [&] {
    Result<> linked = filesystem_.Link(Path("blob"), Path("name"));
    ASSERT_FALSE(linked.has_value());
    EXPECT_EQ(linked.error().code, Code::kOutOfRange);
    EXPECT_THAT(linked.error().message, HasSubstr(Path("name")));
  });
}

TEST_F(PosixFilesystemTest, ADeniedDirectoryIsAFailedPrecondition) {
  if (::geteuid() == 0) GTEST_SKIP() << "root is not denied";
  ASSERT_TRUE(filesystem_.MakeDirectory(Path("a")).has_value());
  ASSERT_EQ(::chmod(Path("a").c_str(), 0555), 0);
  Result<> written = filesystem_.WriteFile(Path("a/file"), "x");
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace weighhouse::io
