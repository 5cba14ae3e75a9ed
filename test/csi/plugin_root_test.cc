// The whole plugin over the kernel's mounts.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "csi/linux_mounter.h"
#include "test/csi/plugin_harness.h"
#include "test/csi/private_namespace.h"

namespace weighhouse::csi {
namespace {

namespace fs = std::filesystem;
using grpc::StatusCode;
using Mode = ::csi::v1::VolumeCapability_AccessMode;
using testing::HasSubstr;

/// The kernel's mounts, and how often they were read.
class CountingMounter final : public Mounter {
 public:
  explicit CountingMounter(std::string empty_directory) : mounter_(std::move(empty_directory)) {}
  Result<std::vector<MountEntry>> Mounts() const override {
    ++reads_;
    return mounter_.Mounts();
  }
  Result<> Mount(const MountOrder& order) override { return mounter_.Mount(order); }
  Result<> Unmount(int parent, const std::string& name) override {
    return mounter_.Unmount(parent, name);
  }
  int reads() const { return reads_; }

 private:
  LinuxMounter mounter_;
  mutable std::atomic<int> reads_ = 0;
};

class PluginRootTest : public RootTest {
 protected:
  void SetUp() override {
    RootTest::SetUp();
    if (IsSkipped()) return;
    fs::create_directory(shared() / "empty");
    mounter_ = std::make_unique<CountingMounter>((shared() / "empty").string());
    ProtectionFindings all{.idmapped_bind = {.holds = true, .reason = ""},
                           .overlay = {.holds = true, .reason = ""},
                           .scratch = {.holds = true, .reason = ""}};
    harness_ = std::make_unique<PluginHarness>(shared(), *mounter_, all);
    harness_->daemon().SetScript(FakeDaemon::Answer(PluginHarness::Tree('a')));
  }
  void TearDown() override {
    harness_.reset();
    RootTest::TearDown();
  }
  std::unique_ptr<CountingMounter> mounter_;
  std::unique_ptr<PluginHarness> harness_;
};

TEST_F(PluginRootTest, APodReadsTheModelAndCanNotWrite) {
  std::string target = harness_->MakeTarget("u");
  grpc::Status status = harness_->Publish(harness_->Request("v", target));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(ReadTestFile(fs::path(target) / "config.json"), "tree a");
  std::string file = target + "/config.json";
  EXPECT_LT(open(file.c_str(), O_WRONLY | O_CLOEXEC), 0);
  ASSERT_EQ(mount(nullptr, target.c_str(), nullptr, MS_REMOUNT | MS_BIND, nullptr), 0);
  EXPECT_LT(open(file.c_str(), O_WRONLY | O_CLOEXEC), 0);
  EXPECT_TRUE(harness_->Unpublish("v", target).ok());
  EXPECT_FALSE(fs::exists(target));
}

TEST_F(PluginRootTest, TwoPodsReadTheSameInode) {
  std::string first = harness_->MakeTarget("a"), second = harness_->MakeTarget("b");
  ASSERT_TRUE(harness_->Publish(harness_->Request("v", first)).ok());
  auto readonly = harness_->Request("w", second);
  readonly.set_readonly(true);
  ASSERT_TRUE(harness_->Publish(readonly).ok());
  struct stat one{}, two{};
  ASSERT_EQ(stat((first + "/sub/weights.bin").c_str(), &one), 0);
  ASSERT_EQ(stat((second + "/sub/weights.bin").c_str(), &two), 0);
  EXPECT_EQ(one.st_ino, two.st_ino);
  EXPECT_EQ(one.st_dev, two.st_dev);
  EXPECT_TRUE(harness_->Unpublish("v", first).ok());
  EXPECT_TRUE(fs::exists(second + "/config.json"));
  EXPECT_TRUE(harness_->Unpublish("w", second).ok());
}

TEST_F(PluginRootTest, AReplayAfterARestartAddsNoMount) {
  std::string target = harness_->MakeTarget("u");
  auto request = harness_->Request("v", target);
  ASSERT_TRUE(harness_->Publish(request).ok());
  harness_->RestartPlugin();
  harness_->daemon().Stop();
  EXPECT_TRUE(harness_->Publish(request).ok());
  ASSERT_EQ(umount2(target.c_str(), MNT_DETACH), 0);
  EXPECT_NE(umount2(target.c_str(), MNT_DETACH), 0) << "one mount only";
}

TEST_F(PluginRootTest, StackedAndForeignMountsAreUnpublished) {
  std::string target = harness_->MakeTarget("u");
  ASSERT_TRUE(harness_->Publish(harness_->Request("v", target)).ok());
  ASSERT_EQ(mount("tmpfs", target.c_str(), "tmpfs", 0, "size=64k"), 0);
  EXPECT_TRUE(harness_->Unpublish("v", target).ok());
  EXPECT_FALSE(fs::exists(target));
}

TEST_F(PluginRootTest, ASymlinkInTheTargetsWayIsRefused) {
  fs::path outside = shared() / "outside";
  fs::create_directories(outside);
  fs::create_directory_symlink(outside, harness_->kubelet_root() / "pods/evil");
  std::string target = (harness_->kubelet_root() / "pods/evil/mount").string();
  EXPECT_EQ(harness_->Publish(harness_->Request("v", target)).error_code(),
            StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(fs::is_empty(outside));
}

TEST_F(PluginRootTest, AMountInsideTheCacheIsNotFollowed) {
  fs::path tree = harness_->cache_root() / PluginHarness::Tree('a');
  fs::create_directory(shared() / "other");
  ASSERT_EQ(mount((shared() / "other").c_str(), tree.c_str(), nullptr, MS_BIND, nullptr), 0);
  grpc::Status status = harness_->Publish(harness_->Request("v", harness_->MakeTarget("u")));
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("crosses a mount"));
  umount2(tree.c_str(), MNT_DETACH);
}

TEST_F(PluginRootTest, TheMountsAreReadAgainIfAnotherMountTookTheCacheRootsPlaceMeanwhile) {
  harness_->daemon().SetScript(harness_->daemon().FillUntilOpened(PluginHarness::Tree('a')));
  auto publish = harness_->PublishLater(harness_->Request("v", harness_->MakeTarget("u")));
  harness_->daemon().WaitForAcquires(1);
  const int before = mounter_->reads();
  // The same directory, so the tree is there; but this mount may have other properties.
  const std::string root = harness_->cache_root().string();
  ASSERT_EQ(mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr), 0);
  harness_->daemon().Open();
  grpc::Status status = publish.get();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(mounter_->reads(), before + 1);
  ASSERT_TRUE(harness_->Publish(harness_->Request("w", harness_->MakeTarget("x"))).ok());
  EXPECT_EQ(mounter_->reads(), before + 2) << "the next one needs one look, as ever";
  umount2(root.c_str(), MNT_DETACH);
}

TEST_F(PluginRootTest, WithoutPropagationNothingIsMounted) {
  EXPECT_TRUE(harness_->plugin().CheckKubeletRoot().has_value());
  MakePrivate();
  Result<> checked = harness_->plugin().CheckKubeletRoot();
  ASSERT_FALSE(checked.has_value());
  EXPECT_THAT(checked.error().message, HasSubstr("mountPropagation: Bidirectional"));
  std::string target = harness_->MakeTarget("u");
  EXPECT_EQ(harness_->Publish(harness_->Request("v", target)).error_code(),
            StatusCode::UNAVAILABLE);
  EXPECT_FALSE(fs::exists(target));
}

TEST_F(PluginRootTest, ATreeRemovedBelowItsMountIsSeen) {
  std::string target = harness_->MakeTarget("u");
  ASSERT_TRUE(harness_->Publish(harness_->Request("v", target)).ok());
  fs::remove_all(harness_->cache_root() / PluginHarness::Tree('a'));
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  ASSERT_TRUE(harness_->Stats("v", target, &stats).ok());
  EXPECT_TRUE(stats.volume_condition().abnormal());
  harness_->daemon().SetScript(FakeDaemon::Answer(PluginHarness::Tree('b')));
  ASSERT_TRUE(harness_->Publish(harness_->Request("v", target)).ok());
  EXPECT_EQ(ReadTestFile(fs::path(target) / "config.json"), "tree b");
  EXPECT_TRUE(harness_->Unpublish("v", target).ok());
}

TEST_F(PluginRootTest, TheReconcilerFindsRealMountsOfEveryKind) {
  std::string idmapped = harness_->MakeTarget("a"), plain = harness_->MakeTarget("b");
  ASSERT_TRUE(harness_->Publish(harness_->Request("v", idmapped)).ok());
  auto readonly = harness_->Request("w", plain);
  readonly.set_readonly(true);
  ASSERT_TRUE(harness_->Publish(readonly).ok());
  Result<> outcome = harness_->plugin().reconciler().RunOnce();
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message;
  ASSERT_EQ(harness_->daemon().syncs().size(), 1U);
  EXPECT_EQ(harness_->daemon().syncs()[0].live_size(), 2);
  EXPECT_EQ(harness_->daemon().syncs()[0].live(0).tree(), PluginHarness::Tree('a'));
  EXPECT_TRUE(harness_->Unpublish("v", idmapped).ok());
  EXPECT_TRUE(harness_->Unpublish("w", plain).ok());
}

TEST_F(PluginRootTest, WhatAPodWroteToItsScratchVolumeSurvivesARestartOfThePlugin) {
  std::string target = harness_->MakeTarget("u"), other = harness_->MakeTarget("w");
  auto request = harness_->Request("v", target);
  (*request.mutable_volume_context())["access"] = "scratch";
  request.mutable_volume_capability()->mutable_access_mode()->set_mode(Mode::SINGLE_NODE_WRITER);
  grpc::Status status = harness_->Publish(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  WriteTestFile(fs::path(target) / "config.json", "mine");
  WriteTestFile(fs::path(target) / "sub/cache/compiled", "x");
  harness_->RestartPlugin();
  EXPECT_TRUE(harness_->Publish(request).ok());
  EXPECT_EQ(ReadTestFile(fs::path(target) / "config.json"), "mine");
  Result<> compared = harness_->plugin().reconciler().RunOnce();
  ASSERT_TRUE(compared.has_value()) << compared.error().message;
  ASSERT_EQ(harness_->daemon().syncs().back().live_size(), 1);
  EXPECT_EQ(harness_->daemon().syncs().back().live(0).tree(), PluginHarness::Tree('a'));

  (*request.mutable_volume_context())["access"] = "readOnly";
  EXPECT_EQ(harness_->Publish(request).error_code(), StatusCode::ALREADY_EXISTS);
  auto next = harness_->Request("w", other);
  ASSERT_TRUE(harness_->Publish(next).ok());
  EXPECT_EQ(ReadTestFile(fs::path(other) / "config.json"), "tree a");
  EXPECT_FALSE(fs::exists(fs::path(other) / "sub/cache"));
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  ASSERT_TRUE(harness_->Stats("v", target, &stats).ok());
  EXPECT_FALSE(stats.volume_condition().abnormal());
  EXPECT_TRUE(harness_->Unpublish("v", target).ok());
  EXPECT_FALSE(fs::exists(target));
  EXPECT_TRUE(harness_->Unpublish("w", other).ok());
}

TEST_F(PluginRootTest, AReadOnlyVolumeHasNothingToWriteTo) {
  std::string target = harness_->MakeTarget("u");
  auto request = harness_->Request("v", target);
  request.set_readonly(true);
  (*request.mutable_volume_context())["access"] = "scratch";
  request.mutable_volume_capability()->mutable_access_mode()->set_mode(Mode::SINGLE_NODE_WRITER);
  ASSERT_TRUE(harness_->Publish(request).ok());
  EXPECT_LT(open((target + "/config.json").c_str(), O_WRONLY | O_CLOEXEC), 0);
  EXPECT_EQ(errno, EROFS);
  EXPECT_TRUE(harness_->Unpublish("v", target).ok());
}

}  // namespace
}  // namespace weighhouse::csi
