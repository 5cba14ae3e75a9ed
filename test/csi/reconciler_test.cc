#include "csi/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/plugin_test.h"

namespace weighhouse::csi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
namespace fs = std::filesystem;

class ReconcilerTest : public PluginTest {
 protected:
  Result<> Run() { return harness_.plugin().reconciler().RunOnce(); }
  /// Until the plugin's one connection to the daemon is there again, by a call that doesn't wait
  /// for it: after a failure the client tries only now and then.
  void WaitUntilConnected() {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    grpc::Status status(StatusCode::UNAVAILABLE, "not asked");
    while (!status.ok() && std::chrono::steady_clock::now() < deadline) {
      grpc::ClientContext context;
      ::csi::v1::GetCapacityResponse response;
      status = harness_.controller().GetCapacity(&context, {}, &response);
    }
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
};

TEST_F(ReconcilerTest, TellsOfMountsPublishesAndPods) {
  std::string mounted = harness_.MakeTarget("a"), waiting = harness_.MakeTarget("b");
  harness_.MakeTarget("c");
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", mounted)).ok());
  harness_.daemon().SetScript(harness_.daemon().FillUntilOpened(PluginHarness::Tree('b')));
  auto publish = harness_.PublishLater(harness_.Request("w", waiting));
  harness_.daemon().WaitForAcquires(2);
  auto before = std::chrono::system_clock::now().time_since_epoch();

  Result<> outcome = Run();
  ASSERT_TRUE(outcome.has_value()) << outcome.error().message;

  auto syncs = harness_.daemon().syncs();
  ASSERT_EQ(syncs.size(), 1U);
  const cache::v1::SyncLeasesRequest& sync = syncs[0];
  EXPECT_GE(sync.epoch_unix_ms(),
            std::chrono::duration_cast<std::chrono::milliseconds>(before).count());
  ASSERT_EQ(sync.live_size(), 1);
  EXPECT_EQ(sync.live(0).lease_id(), LeaseOf(mounted));
  EXPECT_EQ(sync.live(0).tree(), PluginHarness::Tree('a'));
  EXPECT_EQ(sync.live(0).holder().volume_id(), "v");
  EXPECT_EQ(sync.live(0).holder().target_path(), mounted);
  EXPECT_EQ(sync.live(0).holder().pod_uid(), "a");
  EXPECT_THAT(sync.publishing_lease_ids(), ElementsAre(LeaseOf(waiting)));
  EXPECT_THAT(sync.pod_uids(), UnorderedElementsAre("a", "b", "c"));
  harness_.daemon().Open();
  EXPECT_TRUE(publish.get().ok());
}

TEST_F(ReconcilerTest, AfterARestartTheVolumeIsReadFromKubeletsRecord) {
  std::string target = harness_.MakeTarget("a");
  WriteTestFile(fs::path(target).parent_path() / "vol_data.json", R"({"volumeHandle":"v"})");
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", target)).ok());
  harness_.RestartPlugin();
  ASSERT_TRUE(Run().has_value());
  EXPECT_EQ(harness_.daemon().syncs()[0].live(0).holder().volume_id(), "v");
  // What was found counts as a publish: one place only means this one.
  EXPECT_THAT(harness_.Publish(RequestWithMode(
                  "v", harness_.MakeTarget("b"),
                  ::csi::v1::VolumeCapability_AccessMode::SINGLE_NODE_SINGLE_WRITER)),
              HasCode(StatusCode::FAILED_PRECONDITION));
}

TEST_F(ReconcilerTest, RecordsOfAnyShapeAreHarmless) {
  for (const char* record : {"", "not json", "[]", R"({"volumeHandle":7})"}) {
    std::string target = harness_.MakeTarget("a");
    WriteTestFile(fs::path(target).parent_path() / "vol_data.json", record);
    ASSERT_TRUE(harness_.Publish(harness_.Request("v", target)).ok());
    harness_.RestartPlugin();
    ASSERT_TRUE(Run().has_value());
    EXPECT_EQ(harness_.daemon().syncs().back().live(0).holder().volume_id(), "");
    ASSERT_TRUE(harness_.Unpublish("v", target).ok());
  }
}

TEST_F(ReconcilerTest, NothingIsSentWithoutPropagation) {
  mounter_.SetShared(false);
  EXPECT_THAT(Run().error().message, HasSubstr("Bidirectional"));
  EXPECT_THAT(harness_.daemon().syncs(), IsEmpty());
}

TEST_F(ReconcilerTest, NothingIsSentWhileTheKubeletRootCanNotBeRead) {
  fs::rename(harness_.kubelet_root() / "pods", harness_.kubelet_root() / "elsewhere");
  EXPECT_FALSE(Run().has_value());
  fs::rename(harness_.kubelet_root(), harness_.kubelet_root().string() + "-gone");
  EXPECT_FALSE(Run().has_value());
  EXPECT_THAT(harness_.daemon().syncs(), IsEmpty());
}

TEST_F(ReconcilerTest, NothingIsSentToADaemonOfAnotherRoot) {
  auto info = harness_.daemon().true_info();
  info.set_root_device(info.root_device() + 1);
  harness_.daemon().SetInfo(info);
  EXPECT_THAT(Run().error().message, HasSubstr("another directory"));
  EXPECT_THAT(harness_.daemon().syncs(), IsEmpty());
}

TEST_F(ReconcilerTest, AnAbsentDaemonIsAnErrorAndNothingElse) {
  harness_.daemon().Stop();
  EXPECT_EQ(Run().error().code, Code::kUnavailable);
  harness_.daemon().Start();
  WaitUntilConnected();
  Result<> outcome = Run();
  EXPECT_TRUE(outcome.has_value()) << outcome.error().message;
}

TEST_F(ReconcilerTest, ItsThreadRunsAtStartAndEndsAtOnce) {
  harness_.plugin().reconciler().StartThread(std::chrono::hours(1));
  auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (harness_.daemon().syncs().empty() && std::chrono::steady_clock::now() < deadline) {
    harness_.plugin().reconciler().Kick();
    std::this_thread::yield();
  }
  EXPECT_FALSE(harness_.daemon().syncs().empty());
}

}  // namespace
}  // namespace weighhouse::csi
