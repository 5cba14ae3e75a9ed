#include "csi/hidden_mounts.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/private_namespace.h"

namespace weighhouse::csi {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

using HiddenMountsTest = RootTest;

std::string ReadAll(const char* path) {
  std::ifstream stream(path);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

bool WriteWhole(const char* path, std::string_view text) {
  UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  return fd && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

TEST_F(HiddenMountsTest, WhatTheJobMountsIsInItsNamespaceOnly) {
  fs::path directory = shared() / "place";
  fs::create_directory(directory);
  std::string working_directory = fs::current_path();
  UniqueFd fd(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::string inside, outside;
  Result<UniqueFd> outcome = WithHiddenMounts(fd.get(), [&]() -> Result<UniqueFd> {
    if (mount("hidden", ".", "tmpfs", 0, "size=64k") != 0) return FailErrno(errno, "mount");
    inside = ReadAll("/proc/thread-self/mountinfo");
    outside = ReadAll("/proc/self/mountinfo");
    return UniqueFd(open(".", O_PATH | O_CLOEXEC));
  });
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
  std::string line = " " + directory.string() + " ";
  EXPECT_THAT(inside, HasSubstr(line))
      << "where an overlay of an older kernel looks for its layers";
  EXPECT_THAT(outside, Not(HasSubstr(line))) << "shared as the mount around it is";
  EXPECT_EQ(fs::current_path(), working_directory);
}

TEST_F(HiddenMountsTest, WithoutAThreadItIsUnavailable) {
  pthread_attr_t usual, huge;
  ASSERT_EQ(pthread_getattr_default_np(&usual), 0);
  ASSERT_EQ(pthread_attr_init(&huge), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&huge, size_t{1} << 47), 0) << "all there is of addresses";
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  UniqueFd fd(open(shared().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Result<UniqueFd> outcome =
      WithHiddenMounts(fd.get(), []() -> Result<UniqueFd> { return UniqueFd(); });
  ASSERT_EQ(pthread_setattr_default_np(&usual), 0);
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, Code::kUnavailable);
  EXPECT_THAT(outcome.error().message, HasSubstr("start the thread hidden-mounts"));
}

/// Exits with 0 if a namespace too many is refused as it should be. Of a user namespace of its own,
/// whose limit is nobody else's.
[[noreturn]] void AskForOneTooMany() {
  bool ready = unshare(CLONE_NEWUSER) == 0 && WriteWhole("/proc/self/uid_map", "0 0 1\n") &&
               WriteWhole("/proc/sys/user/max_mnt_namespaces", "0\n");
  UniqueFd fd(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  Result<UniqueFd> outcome =
      WithHiddenMounts(fd.get(), []() -> Result<UniqueFd> { return UniqueFd(); });
  bool refused = !outcome && outcome.error().code == Code::kResourceExhausted &&
                 outcome.error().message.contains("user.max_mnt_namespaces");
  std::fprintf(stderr, "%s\n", outcome ? "no error" : outcome.error().message.c_str());
  std::_Exit(ready && refused ? 0 : 1);
}

TEST(HiddenMountsLimitTest, WhereThereAreTooManyNamespacesItIsResourceExhausted) {
  if (geteuid() != 0) GTEST_SKIP() << "mounting needs root";
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a user namespace is for one thread
  EXPECT_EXIT(AskForOneTooMany(), testing::ExitedWithCode(0), "user.max_mnt_namespaces");
}

TEST_F(HiddenMountsTest, AnErrorOfTheJobIsTheAnswer) {
  UniqueFd fd(open(shared().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Result<UniqueFd> outcome =
      WithHiddenMounts(fd.get(), []() -> Result<UniqueFd> { return Fail(Code::kAborted, "no"); });
  EXPECT_EQ(outcome.error().message, "no");
}

}  // namespace
}  // namespace weighhouse::csi
