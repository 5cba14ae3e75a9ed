// The self-test on this kernel, and what it says of mounters that don't hold.
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "csi/beneath.h"
#include "csi/linux_mounter.h"
#include "csi/protections.h"
#include "csi/volume_disk.h"
#include "test/csi/private_namespace.h"

namespace weighhouse::csi {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

/// Mounts everything as a plain read-only bind, as a mounter of ours would that had a bug.
class FlagsOnlyMounter final : public Mounter {
 public:
  explicit FlagsOnlyMounter(std::string empty) : mounter_(std::move(empty)) {}
  Result<std::vector<MountEntry>> Mounts() const override { return mounter_.Mounts(); }
  Result<> Mount(const MountOrder& order) override {
    MountOrder plain = order;
    plain.protection = Protection::kReadOnlyBind;
    return mounter_.Mount(plain);
  }
  Result<> Unmount(int parent, const std::string& name) override {
    return mounter_.Unmount(parent, name);
  }

 private:
  LinuxMounter mounter_;
};

/// Binds the tree itself, writable, as the scratch volume.
class WritableMounter final : public Mounter {
 public:
  explicit WritableMounter(std::string empty) : mounter_(std::move(empty)) {}
  Result<std::vector<MountEntry>> Mounts() const override { return mounter_.Mounts(); }
  Result<> Mount(const MountOrder& order) override {
    std::string tree = DescriptorPath(order.tree), target = DescriptorPath(order.target);
    int outcome = mount(tree.c_str(), target.c_str(), nullptr, MS_BIND, nullptr);
    return outcome == 0 ? Result<>() : FailErrno(errno, "bind");
  }
  Result<> Unmount(int parent, const std::string& name) override {
    return mounter_.Unmount(parent, name);
  }

 private:
  LinuxMounter mounter_;
};

/// Doesn't make the first scratch volumes, with the errors that it is given, and counts all mounts.
class MendingMounter final : public Mounter {
 public:
  MendingMounter(std::string empty, std::vector<Error> errors)
      : mounter_(std::move(empty)), errors_(std::move(errors)) {}
  Result<std::vector<MountEntry>> Mounts() const override { return mounter_.Mounts(); }
  Result<> Mount(const MountOrder& order) override {
    size_t number = ++mounts[order.protection];
    bool fails = order.protection == Protection::kScratch && number <= errors_.size();
    return fails ? std::unexpected(errors_[number - 1]) : mounter_.Mount(order);
  }
  Result<> Unmount(int parent, const std::string& name) override {
    return mounter_.Unmount(parent, name);
  }
  std::map<Protection, size_t> mounts;

 private:
  LinuxMounter mounter_;
  const std::vector<Error> errors_;
};

class SelfTestTest : public RootTest {
 protected:
  std::string Directory() const { return (shared() / "plugins/driver").string(); }
  std::vector<std::string> LeftBehind() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(Directory())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
};

TEST_F(SelfTestTest, AllProtectionsHoldOnThisKernelAndNothingIsLeft) {
  LinuxMounter mounter(EmptyDirectory(Directory()));
  Result<ProtectionFindings> findings = TestProtections(mounter, Directory());
  ASSERT_TRUE(findings.has_value()) << findings.error().message;
  EXPECT_TRUE(findings->idmapped_bind.holds) << findings->idmapped_bind.reason;
  EXPECT_TRUE(findings->overlay.holds) << findings->overlay.reason;
  EXPECT_TRUE(findings->scratch.holds) << findings->scratch.reason;
  EXPECT_THAT(LeftBehind(), ElementsAre("empty"));
}

TEST_F(SelfTestTest, FlagsAloneAreFoundOut) {
  FlagsOnlyMounter mounter(EmptyDirectory(Directory()));
  Result<ProtectionFindings> findings = TestProtections(mounter, Directory());
  ASSERT_TRUE(findings.has_value()) << findings.error().message;
  EXPECT_FALSE(findings->idmapped_bind.holds);
  EXPECT_FALSE(findings->overlay.holds);
  EXPECT_THAT(findings->overlay.reason, HasSubstr("root opened a file for writing"));
  EXPECT_FALSE(findings->scratch.holds);
  EXPECT_THAT(findings->scratch.reason, HasSubstr("Read-only file system"));
  EXPECT_THAT(LeftBehind(), ElementsAre("empty"));
}

TEST_F(SelfTestTest, AScratchVolumeThatWritesToTheTreeIsFoundOut) {
  WritableMounter mounter(EmptyDirectory(Directory()));
  Result<ProtectionFindings> findings = TestProtections(mounter, Directory());
  ASSERT_TRUE(findings.has_value()) << findings.error().message;
  EXPECT_FALSE(findings->scratch.holds);
  EXPECT_THAT(findings->scratch.reason, HasSubstr("changed the tree"));
  EXPECT_FALSE(findings->scratch.MayHoldLater());
  EXPECT_THAT(LeftBehind(), ElementsAre("empty"));
}

TEST_F(SelfTestTest, AScratchTestThatFailedForNowIsMadeAgainAlone) {
  MendingMounter mounter(EmptyDirectory(Directory()),
                         {{.code = Code::kInternal, .message = "Cannot allocate memory"},
                          {.code = Code::kResourceExhausted, .message = "64 MiB in all"}});
  Protections protections(mounter, Directory());
  for (const char* reason : {"Cannot allocate memory", "64 MiB in all"}) {
    ASSERT_TRUE(protections.Ensure().has_value());
    Result<> refused = protections.CheckScratch();
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::kUnavailable);
    EXPECT_THAT(refused.error().message, HasSubstr(reason));
    EXPECT_TRUE(protections.Choose(false, SelinuxState::kOff).has_value());
  }
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(protections.Ensure().has_value());
    EXPECT_TRUE(protections.CheckScratch().has_value());
  }
  EXPECT_THAT(mounter.mounts,
              ElementsAre(Pair(Protection::kIdmappedBind, 1u), Pair(Protection::kOverlay, 1u),
                          Pair(Protection::kScratch, 3u)));
  EXPECT_THAT(LeftBehind(), ElementsAre("empty"));
}

TEST_F(SelfTestTest, AScratchTestThatFailedForGoodIsNotMadeAgain) {
  MendingMounter mounter(EmptyDirectory(Directory()),
                         {{.code = Code::kUnimplemented, .message = "no tmpfs"}});
  Protections protections(mounter, Directory());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(protections.Ensure().has_value());
    EXPECT_EQ(protections.CheckScratch().error().code, Code::kFailedPrecondition);
  }
  EXPECT_EQ(mounter.mounts[Protection::kScratch], 1u);
}

TEST_F(SelfTestTest, WhatAKilledTestLeftIsCleanedUp) {
  fs::create_directories(fs::path(Directory()) / "self-test/tree");
  fs::create_directories(fs::path(Directory()) / "self-test/target");
  WriteTestFile(fs::path(Directory()) / "self-test/tree/file", "old");
  std::string target = Directory() + "/self-test/target";
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(mount("tmpfs", target.c_str(), "tmpfs", 0, "size=64k"), 0);
  }
  LinuxMounter mounter(EmptyDirectory(Directory()));
  Result<ProtectionFindings> findings = TestProtections(mounter, Directory());
  ASSERT_TRUE(findings.has_value()) << findings.error().message;
  EXPECT_TRUE(findings->idmapped_bind.holds);
  EXPECT_THAT(LeftBehind(), ElementsAre("empty"));
}

using PropagationTest = RootTest;

TEST_F(PropagationTest, IsTrueOfASharedMountAndFalseOfAPrivateOne) {
  LinuxMounter mounter((shared() / "empty").string());
  auto check = [&] {
    Result<std::vector<MountEntry>> mounts = mounter.Mounts();
    EXPECT_TRUE(mounts.has_value());
    return CheckPropagation(VolumeMounts(*mounts, "/"), (shared() / "pods").string());
  };
  EXPECT_TRUE(check().has_value());
  MakePrivate();
  Result<> outcome = check();
  ASSERT_FALSE(outcome.has_value());
  EXPECT_THAT(outcome.error().message, HasSubstr(shared().string()));
  EXPECT_THAT(outcome.error().message, HasSubstr("mountPropagation: Bidirectional"));
}

}  // namespace
}  // namespace weighhouse::csi
