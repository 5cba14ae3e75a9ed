#pragma once

#include <fcntl.h>

#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "csi/mounter.h"
#include "csi/volume_mount.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::csi {

/// What every Mounter must do. A mounter's test derives from it, sets `mounter_` before SetUp, and
/// instantiates the suite with the protections that it offers.
class MounterContract : public testing::TestWithParam<Protection> {
 protected:
  /// The mounter under test, whose empty layer may be `empty`.
  virtual std::unique_ptr<Mounter> MakeMounter(const std::string& empty) = 0;

  void SetUp() override {
    namespace fs = std::filesystem;
    base_ = fs::canonical(directory_.path());
    tree_name_ = "trees/files/" + std::string(64, 'a');
    for (const std::string& name :
         {"cache/" + tree_name_, std::string("empty"), std::string("targets/t")}) {
      fs::create_directories(base_ / name);
    }
    WriteTestFile(base_ / "cache" / tree_name_ / "file", "content");
    mounter_ = MakeMounter((base_ / "empty").string());
    targets_.reset(open((base_ / "targets").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    while (mounter_ && mounter_->Unmount(targets_.get(), "t")) continue;
  }

  Result<> Mount() {
    UniqueFd tree(open((base_ / "cache" / tree_name_).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    UniqueFd target(open(Target().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return mounter_->Mount({.tree = tree.get(),
                            .tree_name = tree_name_,
                            .target = target.get(),
                            .protection = GetParam(),
                            .selinux_context = "",
                            .scratch_size = kMiB});
  }
  std::string Target() const { return (base_ / "targets/t").string(); }
  VolumeMounts::Found Found() {
    Result<std::vector<MountEntry>> mounts = mounter_->Mounts();
    EXPECT_TRUE(mounts.has_value());
    return VolumeMounts(*mounts, (base_ / "cache").string()).At(Target());
  }

  void ShowsAsAVolumeOfItsTree() {
    EXPECT_EQ(Found().kind, VolumeMounts::Kind::kNone);
    Result<> mounted = Mount();
    ASSERT_TRUE(mounted.has_value()) << mounted.error().message;
    EXPECT_EQ(Found().kind, VolumeMounts::Kind::kVolume);
    EXPECT_EQ(Found().tree, tree_name_);
    EXPECT_EQ(Found().scratch, GetParam() == Protection::kScratch);
  }
  void StacksAndUnmountsOneByOne() {
    ASSERT_TRUE(Mount().has_value());
    ASSERT_TRUE(Mount().has_value());
    ASSERT_TRUE(mounter_->Unmount(targets_.get(), "t").has_value());
    EXPECT_EQ(Found().kind, VolumeMounts::Kind::kVolume);
    ASSERT_TRUE(mounter_->Unmount(targets_.get(), "t").has_value());
    EXPECT_EQ(Found().kind, VolumeMounts::Kind::kNone);
  }
  void UnmountingNothingIsNotFound() {
    EXPECT_EQ(mounter_->Unmount(targets_.get(), "t").error().code, Code::kNotFound);
  }

  TemporaryDirectory directory_;
  std::filesystem::path base_;
  std::string tree_name_;
  std::unique_ptr<Mounter> mounter_;
  UniqueFd targets_;
};

/// The names of a protection in test names.
inline std::string ProtectionTestName(const testing::TestParamInfo<Protection>& info) {
  switch (info.param) {
    case Protection::kReadOnlyBind:
      return "ReadOnlyBind";
    case Protection::kIdmappedBind:
      return "IdmappedBind";
    case Protection::kOverlay:
      return "Overlay";
    case Protection::kScratch:
      return "Scratch";
  }
  return "";
}

}  // namespace weighhouse::csi

/// Runs the contract over `fixture` (a MounterContract) for every protection.
#define WEIGHHOUSE_MOUNTER_CONTRACT(fixture)                                                     \
  TEST_P(fixture, ShowsAsAVolumeOfItsTree) { ShowsAsAVolumeOfItsTree(); }                        \
  TEST_P(fixture, StacksAndUnmountsOneByOne) { StacksAndUnmountsOneByOne(); }                    \
  TEST_P(fixture, UnmountingNothingIsNotFound) { UnmountingNothingIsNotFound(); }                \
  INSTANTIATE_TEST_SUITE_P(Contract, fixture,                                                    \
                           testing::Values(Protection::kReadOnlyBind, Protection::kIdmappedBind, \
                                           Protection::kOverlay, Protection::kScratch),          \
                           ProtectionTestName)
