// What a plugin does that has forgotten its publishes: after its own restart, when kubelet
// publishes again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/plugin_test.h"

namespace weighhouse::csi {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class NodeReplayTest : public PluginTest {
 protected:
  NodeReplayTest() {
    EXPECT_TRUE(harness_.Publish(request_).ok());
    harness_.RestartPlugin();
  }
  void ExpectOkWithoutAnotherMount() {
    EXPECT_THAT(harness_.Publish(request_), HasCode(StatusCode::OK));
    EXPECT_EQ(mounter_.mounts_made(), 1);
    EXPECT_TRUE(IsMounted(target_));
  }
  std::string target_ = harness_.MakeTarget("u");
  ::csi::v1::NodePublishVolumeRequest request_ = harness_.Request("v", target_);
};

TEST_F(NodeReplayTest, TheDaemonConfirmsTheLease) {
  ExpectOkWithoutAnotherMount();
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty());
  EXPECT_EQ(harness_.daemon().acquires().size(), 2U);
  ExpectOkWithoutAnotherMount();
  EXPECT_EQ(harness_.daemon().acquires().size(), 2U) << "remembered now";
}

TEST_F(NodeReplayTest, WithoutTheDaemonItIsOk) {
  harness_.daemon().Stop();
  ExpectOkWithoutAnotherMount();
}

TEST_F(NodeReplayTest, OtherArgumentsThanTheLeasesAreAlreadyExists) {
  harness_.daemon().SetScript(FakeDaemon::Refuse(StatusCode::ALREADY_EXISTS, "other model"));
  EXPECT_THAT(harness_.Publish(request_), HasCode(StatusCode::ALREADY_EXISTS));
  EXPECT_TRUE(IsMounted(target_));
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty());
}

TEST_F(NodeReplayTest, TheDaemonIsToldThatTheVolumeIsMounted) {
  ExpectOkWithoutAnotherMount();
  ASSERT_EQ(harness_.daemon().acquires().size(), 2U);
  EXPECT_FALSE(harness_.daemon().acquires()[0].mounted());
  EXPECT_TRUE(harness_.daemon().acquires()[1].mounted());
}

TEST_F(NodeReplayTest, ALeaseOfAnotherTreeIsLeftToTheComparison) {
  harness_.daemon().SetScript(FakeDaemon::Answer(PluginHarness::Tree('b')));
  ExpectOkWithoutAnotherMount();
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty()) << "it may be what keeps the mounted tree";
}

TEST_F(NodeReplayTest, ARefusalDoesNotTakeTheVolumeFromARunningPod) {
  harness_.daemon().SetScript(FakeDaemon::Refuse(StatusCode::PERMISSION_DENIED, "revoked"));
  ExpectOkWithoutAnotherMount();
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty()) << "its tree must not be evicted";
}

TEST_F(NodeReplayTest, WithoutPropagationAMountedVolumeIsStillOk) {
  mounter_.SetShared(false);
  ExpectOkWithoutAnotherMount();
}

TEST_F(NodeReplayTest, StatsAreCountedFromTheTree) {
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  ASSERT_TRUE(harness_.Stats("v", target_, &stats).ok());
  ASSERT_EQ(stats.usage_size(), 2);
  EXPECT_EQ(stats.usage(0).used(), 1006);  // "tree a" and 1000 bytes
  EXPECT_EQ(stats.usage(1).used(), 3);     // two files and a directory
}

TEST_F(NodeReplayTest, StatsAskKubeletsRecordForTheVolume) {
  WriteTestFile(std::filesystem::path(target_).parent_path() / "vol_data.json",
                R"({"volumeHandle":"v","specVolID":"model"})");
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  EXPECT_TRUE(harness_.Stats("v", target_, &stats).ok());
  EXPECT_THAT(harness_.Stats("other", target_, &stats), HasCode(StatusCode::NOT_FOUND));
}

TEST_F(NodeReplayTest, UnpublishNeedsNoMemory) {
  EXPECT_TRUE(harness_.Unpublish("v", target_).ok());
  EXPECT_FALSE(IsMounted(target_));
  EXPECT_FALSE(std::filesystem::exists(target_));
  EXPECT_THAT(harness_.daemon().releases(), ElementsAre(LeaseOf(target_)));
}

}  // namespace
}  // namespace weighhouse::csi
