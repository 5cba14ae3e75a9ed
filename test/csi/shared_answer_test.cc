#include "csi/shared_answer.h"

#include <filesystem>
#include <future>

#include <gtest/gtest.h>

#include "csi/volume_disk.h"
#include "test/csi/fake_mounter.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::csi {
namespace {

class SharedAnswerTest : public testing::Test {
 protected:
  static constexpr const char* kPlace = "/somewhere/else";

  /// Asks, and says what is at kPlace by the answer.
  std::future<VolumeMounts::Kind> Ask() {
    auto promise = std::make_shared<std::promise<VolumeMounts::Kind>>();
    looks_.Ask([promise](const Result<MountLook>& look) {
      promise->set_value(look->mounts.At(kPlace).kind);
    });
    return promise->get_future();
  }

  TemporaryDirectory directory_;
  FakeMounter mounter_;
  Protections protections_{mounter_, ProtectionFindings{}};
  VolumeDisk disk_{{.kubelet_root = directory_.path().string(),
                    .cache_root = directory_.path().string(),
                    .selinux_context = ""},
                   mounter_,
                   protections_};
  WorkerPool workers_{"look", 2};
  SharedAnswer<MountLook> looks_{workers_, [this](SharedAnswer<MountLook>::Done done) {
                                   workers_.Post([this, done] { done(disk_.Look()); });
                                 }};
};

TEST_F(SharedAnswerTest, WhoAsksWhileAReadingRunsGetsTheNext) {
  mounter_.HoldReads();
  auto before = Ask();
  mounter_.WaitForReads(1);
  mounter_.AddForeign(kPlace);  // the reading that runs can't show it
  std::vector<std::future<VolumeMounts::Kind>> after;
  for (int i = 0; i < 100; ++i) after.push_back(Ask());
  mounter_.OpenReads();
  EXPECT_EQ(before.get(), VolumeMounts::Kind::kNone);
  for (auto& answer : after) EXPECT_EQ(answer.get(), VolumeMounts::Kind::kForeign);
  EXPECT_EQ(mounter_.reads(), 2) << "one for all who came meanwhile";
}

TEST_F(SharedAnswerTest, EachQuestionAfterAnAnswerIsReadAnew) {
  EXPECT_EQ(Ask().get(), VolumeMounts::Kind::kNone);
  mounter_.AddForeign(kPlace);
  EXPECT_EQ(Ask().get(), VolumeMounts::Kind::kForeign);
  EXPECT_EQ(mounter_.reads(), 2);
}

TEST_F(SharedAnswerTest, AnErrorIsEverybodysAnswer) {
  std::filesystem::remove(directory_.path());  // the cache root
  std::promise<Code> answer;
  looks_.Ask([&](const Result<MountLook>& look) { answer.set_value(look.error().code); });
  EXPECT_EQ(answer.get_future().get(), Code::kUnavailable);
}

}  // namespace
}  // namespace weighhouse::csi
