#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cli/spawned_program.h"

namespace weighhouse::cli {
namespace {

using ::testing::HasSubstr;

constexpr uid_t kDaemonUid = 64100;
constexpr uid_t kSomebody = 64199;

/// Run as root: `--root` must never leave a file that root owns.
class OwnerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    std::string pattern = "/tmp/weighhouse-owner.XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
    std::ofstream(directory_ + "/weights.bin") << "weights";
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  ProgramResult Pull(const std::vector<std::string>& environment = {}) const {
    return RunProgram("weighhouse",
                      {"pull", "file://" + directory_ + "/weights.bin", "--root", Cache()},
                      environment);
  }
  std::string Cache() const { return directory_ + "/cache"; }

  /// True if each entry of the cache, and the cache, belongs to `uid`.
  bool AllBelongTo(uid_t uid) const {
    auto belongs = [uid](const std::string& path) {
      struct stat status{};
      return ::lstat(path.c_str(), &status) == 0 && status.st_uid == uid;
    };
    bool all = belongs(Cache());
    for (const auto& entry : std::filesystem::recursive_directory_iterator(Cache())) {
      all = all && belongs(entry.path());
    }
    return all;
  }

  std::string directory_;
};

TEST_F(OwnerTest, ANewDirectoryIsTheDaemons) {
  ProgramResult result = Pull();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(AllBelongTo(kDaemonUid));
}

TEST_F(OwnerTest, ANewDirectoryIsTheUsersBehindSudo) {
  ProgramResult result = Pull({"SUDO_UID=64199", "SUDO_GID=64199"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(AllBelongTo(kSomebody));
}

TEST_F(OwnerTest, ATokenThatOnlyRootMayReadIsReadAsRoot) {
  std::string token = directory_ + "/token";
  std::ofstream(token) << "hf_secret";
  ASSERT_EQ(::chmod(token.c_str(), 0600), 0);
  for (const char* command : {"pull", "inspect", "storageclass"}) {
    ProgramResult result =
        RunProgram("weighhouse", {command, "file://" + directory_ + "/weights.bin", "--root",
                                  Cache(), "--token-file", token});
    EXPECT_EQ(result.exit_code, 0) << command << ": " << result.err;
  }
  EXPECT_TRUE(AllBelongTo(kDaemonUid));
}

TEST_F(OwnerTest, AnExistingDirectoryStaysItsOwners) {
  ASSERT_EQ(::mkdir(Cache().c_str(), 0755), 0);
  ASSERT_EQ(::chown(Cache().c_str(), kSomebody, kSomebody), 0);
  ProgramResult result = Pull({"SUDO_UID=1", "SUDO_GID=1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(AllBelongTo(kSomebody));
}

TEST_F(OwnerTest, ADirectoryOfRootIsRefusedWithTheWayOut) {
  ASSERT_EQ(::mkdir(Cache().c_str(), 0755), 0);
  ProgramResult result = Pull();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("belongs to root"));
  EXPECT_THAT(result.err, HasSubstr("chown -R 64100:64100 " + Cache()));
  EXPECT_TRUE(std::filesystem::is_empty(Cache()));
}

TEST_F(OwnerTest, ADirectoryOfTheSystemIsNotAdvisedToBeGivenAway) {
  ASSERT_EQ(::mkdir(Cache().c_str(), 0755), 0);
  std::ofstream(Cache() + "/passwd") << "root:x:0:0";
  ProgramResult result = Pull();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr(Cache() + " holds files but no cache"));
  EXPECT_THAT(result.err, ::testing::Not(HasSubstr("chown")));
}

TEST_F(OwnerTest, AFileIsNoCache) {
  std::ofstream{Cache()};
  ProgramResult result = Pull();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr(Cache() + " is not a directory"));
  EXPECT_THAT(result.err, ::testing::Not(HasSubstr("chown")));
}

TEST_F(OwnerTest, WhatItsOwnerCouldNotUseIsNotLeftBehind) {
  ASSERT_EQ(::chmod(directory_.c_str(), 0700), 0);
  ProgramResult result = Pull();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("uid 64100 can't use " + Cache()));
  EXPECT_FALSE(std::filesystem::exists(Cache()));
}

TEST_F(OwnerTest, ADirectoryThatItsOwnerCannotReachIsRefused) {
  ASSERT_EQ(::mkdir(Cache().c_str(), 0755), 0);
  ASSERT_EQ(::chown(Cache().c_str(), kSomebody, kSomebody), 0);
  ASSERT_EQ(::chmod(directory_.c_str(), 0700), 0);
  ProgramResult result = Pull();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("uid 64199 can't use " + Cache()));
}

}  // namespace
}  // namespace weighhouse::cli
