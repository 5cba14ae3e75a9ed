#include "csi/root_checks.h"

#include <filesystem>
#include <future>
#include <optional>

#include <gtest/gtest.h>

#include "test/csi/fake_daemon.h"
#include "test/csi/fake_mounter.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::csi {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RootChecksTest : public testing::Test {
 protected:
  void MakeChecks(milliseconds patience) {
    WriteTestFile(base_ / "format", "1 fake-root-id\n");
    client_ = std::make_unique<DaemonClient>(socket_, patience);
    checks_ = std::make_unique<RootChecks>(disk_, *client_, workers_);
  }
  struct Question {
    std::shared_ptr<DaemonCall> call;
    std::future<std::optional<Code>> answer;
  };
  Question Ask() {
    auto promise = std::make_shared<std::promise<std::optional<Code>>>();
    auto call = checks_->Check(std::chrono::minutes(1), [promise](const Result<>& same) {
      promise->set_value(same ? std::nullopt : std::optional(same.error().code));
    });
    call->Start();
    return {.call = call, .answer = promise->get_future()};
  }
  void TearDown() override {
    checks_->Stop();
    workers_.Stop();
  }

  TemporaryDirectory directory_;
  const std::filesystem::path base_ = std::filesystem::canonical(directory_.path());
  const std::string socket_ = (base_ / "node.sock").string();
  FakeMounter mounter_;
  Protections protections_{mounter_, ProtectionFindings{}};
  VolumeDisk disk_{
      {.kubelet_root = base_.string(), .cache_root = base_.string(), .selinux_context = ""},
      mounter_,
      protections_};
  std::unique_ptr<DaemonClient> client_;
  std::unique_ptr<RootChecks> checks_;
  WorkerPool workers_{"check", 2};
};

TEST_F(RootChecksTest, ManyAtOnceGetTheirAnswersFromOneQuestion) {
  FakeDaemon daemon(socket_, base_.string());
  daemon.Start();
  MakeChecks(seconds(30));
  daemon.HoldInfos();
  std::vector<Question> questions;
  questions.push_back(Ask());
  daemon.WaitForInfos(1);
  for (int i = 0; i < 200; ++i) questions.push_back(Ask());
  daemon.Open();
  for (Question& question : questions) EXPECT_EQ(question.answer.get(), std::nullopt);
  EXPECT_EQ(daemon.infos(), 2U) << "the second for all that asked after the first had begun";
}

TEST_F(RootChecksTest, AnotherRootIsSeenByWhoAsksNext) {
  FakeDaemon daemon(socket_, base_.string());
  daemon.Start();
  MakeChecks(seconds(30));
  EXPECT_EQ(Ask().answer.get(), std::nullopt);
  cache::v1::InfoResponse info = daemon.true_info();
  info.set_root_inode(info.root_inode() + 1);
  daemon.SetInfo(info);
  EXPECT_EQ(Ask().answer.get(), Code::kUnavailable);
}

TEST_F(RootChecksTest, WhoIsCancelledDoesNotWaitForTheOthersAnswer) {
  FakeDaemon daemon(socket_, base_.string());
  daemon.Start();
  MakeChecks(seconds(30));
  daemon.HoldInfos();
  Question first = Ask(), second = Ask();
  daemon.WaitForInfos(1);
  second.call->Cancel();
  EXPECT_EQ(second.answer.get(), Code::kCancelled);
  EXPECT_EQ(first.answer.wait_for(seconds(0)), std::future_status::timeout);
  daemon.Open();
  EXPECT_EQ(first.answer.get(), std::nullopt);
}

TEST_F(RootChecksTest, WithoutADaemonItIsUnavailableForAllThatAsked) {
  MakeChecks(milliseconds(100));
  Question first = Ask(), second = Ask();
  EXPECT_EQ(first.answer.get(), Code::kUnavailable);
  EXPECT_EQ(second.answer.get(), Code::kUnavailable);
}

TEST_F(RootChecksTest, StopEndsAQuestionThatNobodyWaitsForAnyMore) {
  MakeChecks(std::chrono::minutes(10));
  Question question = Ask();
  question.call->Cancel();
  EXPECT_EQ(question.answer.get(), Code::kCancelled);
  checks_->Stop();  // returns, long before the patience has passed
}

}  // namespace
}  // namespace weighhouse::csi
