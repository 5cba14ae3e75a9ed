// NodePublishVolume while a fill takes long: waiting, giving up, being told to, and what comes
// after.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/plugin_test.h"
#include "test/support/captured_log.h"

namespace weighhouse::csi {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
namespace fs = std::filesystem;

class NodeWaitTest : public PluginTest {
 protected:
  NodeWaitTest() { Fill(); }
  void Fill() {
    harness_.daemon().SetScript(harness_.daemon().FillUntilOpened(PluginHarness::Tree('a')));
  }
  std::string target_ = harness_.MakeTarget("u");
};

TEST_F(NodeWaitTest, AFillThatEndsInTimeIsMounted) {
  auto publish = harness_.PublishLater(harness_.Request("v", target_));
  harness_.daemon().WaitForAcquires(1);
  harness_.daemon().Open();
  EXPECT_TRUE(publish.get().ok());
  EXPECT_TRUE(IsMounted(target_));
}

TEST_F(NodeWaitTest, FillNotDoneInTimeIsAbortedWithItsProgress) {
  grpc::Status status = harness_.Publish(harness_.Request("v", target_), seconds(1));
  EXPECT_THAT(status, HasCode(StatusCode::ABORTED));
  EXPECT_EQ(status.error_message(),
            "filling hf://org/name: 1.0/4.0 GiB (25 %), 1.0 GiB/s, 3 s left");
  EXPECT_FALSE(fs::exists(target_));
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty()) << "the fill must go on";
  harness_.daemon().Open();
  EXPECT_TRUE(harness_.Publish(harness_.Request("v", target_)).ok());
}

TEST_F(NodeWaitTest, TheHoldLimitEndsAWaitWithALongDeadline) {
  harness_.options().publish_hold_limit = milliseconds(200);
  harness_.RestartPlugin();
  EXPECT_THAT(harness_.Publish(harness_.Request("v", target_), std::chrono::minutes(10)),
              HasCode(StatusCode::ABORTED));
}

TEST_F(NodeWaitTest, SecondCallForTheSameVolumeOrTargetIsAborted) {
  auto publish = harness_.PublishLater(harness_.Request("v", target_));
  harness_.daemon().WaitForAcquires(1);
  EXPECT_THAT(harness_.Publish(harness_.Request("v", target_)), HasCode(StatusCode::ABORTED));
  EXPECT_THAT(harness_.Publish(harness_.Request("v", harness_.MakeTarget("w"))),
              HasCode(StatusCode::ABORTED));
  EXPECT_THAT(harness_.Publish(harness_.Request("w", target_)), HasCode(StatusCode::ABORTED));
  harness_.daemon().Open();
  EXPECT_TRUE(publish.get().ok());
  EXPECT_EQ(mounter_.mounts_made(), 1);
}

TEST_F(NodeWaitTest, RacingPublishesOfOneTargetMountOnce) {
  harness_.daemon().Open();
  std::vector<std::future<grpc::Status>> publishes;
  for (int i = 0; i < 16; ++i) {
    publishes.push_back(harness_.PublishLater(harness_.Request("v", target_)));
  }
  int succeeded = 0;
  for (auto& publish : publishes) {
    grpc::Status status = publish.get();
    EXPECT_TRUE(status.ok() || status.error_code() == StatusCode::ABORTED)
        << status.error_message();
    if (status.ok()) ++succeeded;
  }
  EXPECT_GE(succeeded, 1);
  EXPECT_EQ(mounter_.mounts_made(), 1);
}

TEST_F(NodeWaitTest, AbortedThenAFinalErrorReleasesTheLease) {
  ASSERT_THAT(harness_.Publish(harness_.Request("v", target_), milliseconds(400)),
              HasCode(StatusCode::ABORTED));
  harness_.daemon().SetScript(FakeDaemon::Refuse(StatusCode::NOT_FOUND, "no such model"));
  EXPECT_THAT(harness_.Publish(harness_.Request("v", target_)), HasCode(StatusCode::NOT_FOUND));
  EXPECT_THAT(harness_.daemon().releases(), ElementsAre(LeaseOf(target_)));
  EXPECT_FALSE(fs::exists(target_));
}

TEST_F(NodeWaitTest, AbortedThenWrongWordsReleaseTheLease) {
  auto request = harness_.Request("v", target_);
  ASSERT_THAT(harness_.Publish(request, milliseconds(400)), HasCode(StatusCode::ABORTED));
  (*request.mutable_volume_context())["layout"] = "wrong";
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(harness_.daemon().releases(), ElementsAre(LeaseOf(target_)));
}

TEST_F(NodeWaitTest, WrongWordsWhileAPublishWaitsLeaveItAlone) {
  auto request = harness_.Request("v", target_);
  auto publish = harness_.PublishLater(request);
  harness_.daemon().WaitForAcquires(1);
  request.clear_volume_context();
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty());
  harness_.daemon().Open();
  EXPECT_TRUE(publish.get().ok());
}

TEST_F(NodeWaitTest, UnpublishEndsTheWaitAndNoMountAppears) {
  auto publish = harness_.PublishLater(harness_.Request("v", target_));
  harness_.daemon().WaitForAcquires(1);
  EXPECT_TRUE(harness_.Unpublish("v", target_).ok());
  EXPECT_THAT(publish.get(), HasCode(StatusCode::ABORTED));
  harness_.daemon().WaitForCancelled(1);
  EXPECT_THAT(harness_.daemon().releases(), ElementsAre(LeaseOf(target_)));
  harness_.daemon().Open();
  EXPECT_EQ(mounter_.mounts_made(), 0);
  EXPECT_FALSE(fs::exists(target_));
}

TEST_F(NodeWaitTest, UnpublishOfOnePodDoesNotWaitForAnothersPublish) {
  harness_.daemon().Open();
  std::string other = harness_.MakeTarget("w");
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", other)).ok());
  harness_.daemon().SetScript([this](const auto& request, auto& writer, auto& context) {
    harness_.daemon().WaitForReleases(1);
    return FakeDaemon::Answer(PluginHarness::Tree('a'))(request, writer, context);
  });
  auto publish = harness_.PublishLater(harness_.Request("v", target_));
  harness_.daemon().WaitForAcquires(2);
  EXPECT_TRUE(harness_.Unpublish("v", other).ok());
  EXPECT_TRUE(publish.get().ok());
  EXPECT_TRUE(IsMounted(target_));
  EXPECT_FALSE(IsMounted(other));
}

TEST_F(NodeWaitTest, ACallerThatGoesAwayFreesTheTargetAndKeepsTheLease) {
  grpc::ClientContext context;
  ::csi::v1::NodePublishVolumeResponse response;
  auto request = harness_.Request("v", target_);
  auto publish = std::async(std::launch::async, [&] {
    return harness_.node().NodePublishVolume(&context, request, &response);
  });
  harness_.daemon().WaitForAcquires(1);
  context.TryCancel();
  EXPECT_THAT(publish.get(), HasCode(StatusCode::CANCELLED));
  harness_.daemon().WaitForCancelled(1);
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty());
  harness_.daemon().Open();
  grpc::Status status = harness_.Publish(request);
  // The cancelled call's locks are freed a moment after the daemon hears of it.
  while (status.error_code() == StatusCode::ABORTED) status = harness_.Publish(request);
  EXPECT_TRUE(status.ok());
}

TEST_F(NodeWaitTest, TwoHundredPublishesWaitAtOnceAndProbeAnswersMeanwhile) {
  constexpr size_t kCount = 200;
  std::vector<std::future<grpc::Status>> publishes;
  for (size_t i = 0; i < kCount; ++i) {
    std::string pod = "pod-" + std::to_string(i);
    publishes.push_back(harness_.PublishLater(harness_.Request(pod, harness_.MakeTarget(pod))));
  }
  harness_.daemon().WaitForAcquires(kCount);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(30));
  ::csi::v1::ProbeResponse probe;
  EXPECT_TRUE(harness_.identity().Probe(&context, {}, &probe).ok());
  EXPECT_TRUE(probe.ready().value());
  harness_.daemon().Open();
  for (auto& publish : publishes) EXPECT_TRUE(publish.get().ok());
  EXPECT_EQ(mounter_.mounts_made(), static_cast<int>(kCount));
}

TEST_F(NodeWaitTest, StoppingAnswersUnavailableAndLeavesMounts) {
  std::string mounted = harness_.MakeTarget("w");
  harness_.daemon().SetScript(FakeDaemon::Answer(PluginHarness::Tree('b')));
  ASSERT_TRUE(harness_.Publish(harness_.Request("w", mounted)).ok());
  Fill();
  auto publish = harness_.PublishLater(harness_.Request("v", target_));
  harness_.daemon().WaitForAcquires(2);
  harness_.plugin().publisher().Stop();
  EXPECT_THAT(publish.get(), HasCode(StatusCode::UNAVAILABLE));
  EXPECT_THAT(harness_.Publish(harness_.Request("x", harness_.MakeTarget("x"))),
              HasCode(StatusCode::UNAVAILABLE));
  harness_.StopPlugin();
  EXPECT_TRUE(IsMounted(mounted));
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty());
}

TEST_F(NodeWaitTest, ADaemonThatDiesInTheMiddleIsUnavailable) {
  auto publish = harness_.PublishLater(harness_.Request("v", target_));
  harness_.daemon().WaitForAcquires(1);
  harness_.daemon().Stop();
  grpc::Status status = publish.get();
  EXPECT_THAT(status, HasCode(StatusCode::UNAVAILABLE));
  EXPECT_THAT(status.error_message(), HasSubstr("cache daemon at "));
  harness_.daemon().SetScript(FakeDaemon::Answer(PluginHarness::Tree('a')));
  harness_.daemon().Start();
  EXPECT_TRUE(harness_.Publish(harness_.Request("v", target_)).ok());
}

TEST_F(NodeWaitTest, TheDaemonIsToldTheRequestIdThatTheLogHasAndEachCallHasItsOwn) {
  CapturedLog log;
  std::vector<std::string> told;
  harness_.daemon().SetScript(
      [&told](const cache::v1::AcquireRequest&, FakeDaemon::Writer&, grpc::ServerContext& context) {
        auto found = context.client_metadata().find("x-request-id");
        if (found != context.client_metadata().end()) {
          told.emplace_back(found->second.data(), found->second.size());
        }
        return grpc::Status(StatusCode::UNAVAILABLE, "away");
      });
  std::string messages;
  for (int i = 0; i < 2; ++i) {
    messages += harness_.Publish(harness_.Request("v", target_)).error_message();
  }
  harness_.StopPlugin();
  ASSERT_EQ(told.size(), 2u);
  EXPECT_NE(told[0], told[1]);
  for (const std::string& id : told) {
    EXPECT_TRUE(IsRequestId(id)) << id;
    EXPECT_THAT(log.text(), HasSubstr("request=" + id));
    EXPECT_THAT(messages, Not(HasSubstr(id)))
        << "each repetition would be a new event of the pod's";
  }
  EXPECT_THAT(log.text(), HasSubstr("code=UNAVAILABLE"));
  EXPECT_THAT(log.text(), HasSubstr("volume=v"));
}

TEST_F(NodeWaitTest, NoSecretAndNoTokenReachesTheLogOrAMessage) {
  CapturedLog log;
  auto request = harness_.Request("v", target_);
  (*request.mutable_secrets())["HF_TOKEN"] = "s3cret";
  (*request.mutable_volume_context())["csi.storage.k8s.io/serviceAccount.tokens"] = "s3cret";
  std::string messages = harness_.Publish(request, milliseconds(400)).error_message();
  harness_.daemon().SetScript(FakeDaemon::Refuse(StatusCode::PERMISSION_DENIED, "no right"));
  messages += harness_.Publish(request).error_message();
  (*request.mutable_volume_context())["unknown"] = "x";
  messages += harness_.Publish(request).error_message();
  harness_.StopPlugin();
  EXPECT_THAT(log.text(), HasSubstr("PERMISSION_DENIED"));
  EXPECT_THAT(log.text(), Not(HasSubstr("s3cret")));
  EXPECT_THAT(messages, Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace weighhouse::csi
