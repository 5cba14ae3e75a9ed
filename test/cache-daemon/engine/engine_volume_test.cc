#include <algorithm>
#include <filesystem>

#include "test/cache-daemon/engine/volume_fixture.h"

namespace weighhouse {
namespace {

class EngineVolumeTest : public VolumeFixture {
 protected:
  void Start(Bytes limit = 0) {
    AddFile("org/model", "model.bin", std::string(kMiB, 'm'));
    AddFile("org/other", "other.bin", std::string(kMiB, 'o'));
    AddFile("org/private", "private.bin", std::string(kMiB, 'p'));
    AddFile("org/private", ".fixture.json", R"({"private": true})");
    StartHub();
    EngineOptions options = Options();
    options.store.limit = limit;
    OpenEngine(options);
  }
};

TEST_F(EngineVolumeTest, TellsWhatItsModelIsAndBeginsItsFill) {
  Start();
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("volume", kModel)));
  EXPECT_EQ(volume.volume_id, "volume");
  EXPECT_EQ(volume.model, "hf://org/model");
  EXPECT_EQ(volume.commit, hub_->Commit("org/model"));
  EXPECT_EQ(volume.model_bytes, kMiB);
  EXPECT_EQ(volume.capacity_bytes, kMiB);
  EXPECT_TRUE(BecomesComplete(1));
  ASSERT_OK_AND_ASSIGN(larger, engine_->CreateVolume(Of("larger", kModel, 3 * kMiB)));
  EXPECT_EQ(larger.capacity_bytes, 3 * kMiB);
  EXPECT_EQ(engine_->Info()->contents.volumes, 2u);
}

TEST_F(EngineVolumeTest, HoldsRoomUntilItsFirstPublish) {
  Start(kMiB + 64 * kKiB);
  AcquireRequest publish = LeasedRequest(kModel, "pod");
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of(publish.holder.volume_id, kModel)));
  EXPECT_EQ(Acquire(Request(kOther)).error().code, Code::kResourceExhausted);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(publish));
  EXPECT_EQ(HoldCount(), 0u);
  EXPECT_EQ(engine_->Capacity()->reserved, 0u);
  EXPECT_EQ(Acquire(Request(kOther)).error().code, Code::kResourceExhausted)
      << "the lease keeps it now";
  EXPECT_TRUE(engine_->GetVolume(publish.holder.volume_id)) << "it is there until it is deleted";
}

TEST_F(EngineVolumeTest, OfAModelThatIsRefusedLeavesNothing) {
  Start(kMiB + 64 * kKiB);
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("first", kModel)));
  EXPECT_EQ(CodeOf(Of("second", kOther)), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf(Of("third", kPrivate, kGiB)), Code::kResourceExhausted) << "it never fits here";
  VolumeRequest limited = Of("fourth", kModel);
  limited.limit_bytes = kMiB - 1;
  Result<store::VolumeRecord> refused = engine_->CreateVolume(limited);
  EXPECT_EQ(refused.error().code, Code::kOutOfRange);
  EXPECT_TRUE(refused.error().message.contains("takes 1.0 MiB")) << refused.error().message;
  ASSERT_TRUE(BecomesComplete(1));
  // The first one's journal goes after that.
  EXPECT_TRUE(Becomes([&] { return Names("snapshots").size() == 1; }));
  EXPECT_EQ(Names("holds").size(), 1u);
  EXPECT_EQ(Names("volumes").size(), 1u);
  EXPECT_EQ(engine_->GetVolume("second").error().code, Code::kNotFound);
}

TEST_F(EngineVolumeTest, TheSameAgainAsksNobodyAndOthersAreRefused) {
  Start();
  VolumeRequest request = Of("volume", kModel);
  ASSERT_OK_AND_ASSIGN(first, engine_->CreateVolume(request));
  hub_.reset();
  engine_.reset();
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(again, engine_->CreateVolume(request));
  EXPECT_EQ(again.commit, first.commit);
  EXPECT_EQ(again.model_bytes, first.model_bytes);
  EXPECT_EQ(std::chrono::floor<std::chrono::seconds>(again.created),
            std::chrono::floor<std::chrono::seconds>(first.created));
  EXPECT_EQ(HoldCount(), 1u);
  EXPECT_EQ(CodeOf(Of("volume", kOther)), Code::kAlreadyExists);
}

TEST_F(EngineVolumeTest, DeletedIsForgottenAndItsModelStays) {
  Start();
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("volume", kModel)));
  ASSERT_TRUE(BecomesComplete(1));
  ASSERT_TRUE(engine_->DeleteVolume("volume"));
  ASSERT_TRUE(engine_->DeleteVolume("volume")) << "as often as asked";
  EXPECT_EQ(HoldCount(), 0u);
  EXPECT_EQ(engine_->GetVolume("volume").error().code, Code::kNotFound);
  EXPECT_EQ(engine_->Info()->contents.snapshots_complete, 1u);
  ASSERT_OK_AND_ASSIGN(again, engine_->CreateVolume(Of("volume", kOther)));
}

TEST_F(EngineVolumeTest, OfAModelThatTheCallerMayNotSeeHoldsTheBytesAskedFor) {
  Start();
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("volume", kPrivate, 2 * kMiB)));
  EXPECT_EQ(volume.commit, "");
  EXPECT_EQ(volume.model_bytes, 0u);
  EXPECT_EQ(volume.capacity_bytes, 2 * kMiB);
  EXPECT_EQ(engine_->Capacity()->for_holds, 2 * kMiB);
  EXPECT_TRUE(Names("snapshots").empty());
}

TEST_F(EngineVolumeTest, OfAPrivateModelThatIsHereHoldsItAndTellsNoCommit) {
  Start();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kPrivate, "hf_fixture")));
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("volume", kPrivate, 2 * kMiB)));
  EXPECT_EQ(volume.commit, "") << "its branch may have moved, which this caller is not told";
  EXPECT_EQ(engine_->Info()->holds[0].snapshot_id, tree.snapshot_id);
  VolumeRequest with_rights = Of("other", kPrivate);
  with_rights.credentials.values["HF_TOKEN"] = "hf_fixture";
  EXPECT_EQ(engine_->CreateVolume(with_rights)->commit, hub_->Commit("org/private"));
}

TEST_F(EngineVolumeTest, GivenAModelThatNobodyMayFetchIsRefused) {
  Start();
  EngineOptions options = Options();
  options.allow = {"hf://org/model"};
  ASSERT_TRUE(engine_->Reconfigure(options));
  EXPECT_EQ(CodeOf(Of("volume", kOther, kMiB)), Code::kPermissionDenied);
  EXPECT_EQ(HoldCount(), 0u);
}

TEST_F(EngineVolumeTest, WithItsSourceAwayIsOfWhatIsKnown) {
  Start();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kModel)));
  std::string commit = hub_->Commit("org/model");
  hub_.reset();
  EXPECT_EQ(CodeOf(Of("volume", kOther, kMiB)), Code::kUnavailable);
  EXPECT_EQ(HoldCount(), 0u);
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("volume", kModel)));
  EXPECT_EQ(volume.commit, commit);
}

TEST_F(EngineVolumeTest, WhoseSourceHangsIsAbortedInTimeAndTheNextCallHasItsAnswer) {
  Start();
  PauseHub();
  VolumeRequest request = InAHurry(Of("volume", kModel));
  Result<store::VolumeRecord> early = engine_->CreateVolume(request);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, Code::kAborted);
  EXPECT_TRUE(early.error().message.contains("still asking")) << early.error().message;
  EXPECT_EQ(HoldCount(), 0u);
  hub_->ClearFaults();
  // Each call is too late to wait for anything: what they find is the first one's answer.
  EXPECT_TRUE(Becomes([&] { return engine_->CreateVolume(request).has_value(); }));
  EXPECT_EQ(engine_->GetVolume("volume")->commit, hub_->Commit("org/model"));
}

TEST_F(EngineVolumeTest, WhoseSourceHangsIsOfWhatIsKnown) {
  Start();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kModel)));
  std::string commit = hub_->Commit("org/model");
  PauseHub();
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(InAHurry(Of("volume", kModel))));
  EXPECT_EQ(volume.commit, commit);
}

TEST_F(EngineVolumeTest, WhatOneWasToldIsNotToldToAnother) {
  Start();
  VolumeRequest with_rights = Of("first", kPrivate);
  with_rights.credentials.values["HF_TOKEN"] = "hf_fixture";
  PauseHub();
  with_rights = InAHurry(with_rights);
  EXPECT_EQ(CodeOf(with_rights), Code::kAborted);
  ASSERT_OK_AND_ASSIGN(without, engine_->CreateVolume(Of("second", kPrivate, 5)));
  EXPECT_EQ(without.model_bytes, 0u);
  EXPECT_EQ(without.commit, "");
  hub_->ClearFaults();
  EXPECT_TRUE(Becomes([&] { return engine_->CreateVolume(with_rights).has_value(); }));
  EXPECT_EQ(engine_->GetVolume("first")->model_bytes, kMiB);
}

TEST_F(EngineVolumeTest, IsPublishedAtItsCommitWhereverItsBranchIsByThen) {
  Start();
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("csi-pod", kModel)));
  AddFile("org/model", "model.bin", std::string(kMiB, 'n'));
  hub_->Rescan();
  ASSERT_NE(hub_->Commit("org/model"), volume.commit);
  ASSERT_TRUE(BecomesComplete(1));
  hub_.reset();  // a public model at a commit needs nobody
  AcquireRequest publish = LeasedRequest(kModel, "pod");
  publish.model.commit = volume.commit;
  publish.layout = Layout::kHub;
  ASSERT_OK_AND_ASSIGN(tree, Acquire(publish));
  EXPECT_EQ(tree.revision, volume.commit);
  std::string hub = "models--org--model/";
  EXPECT_EQ(Read(tree, hub + "refs/main"), volume.commit);
  EXPECT_EQ(Read(tree, hub + "snapshots/" + volume.commit + "/model.bin"), std::string(kMiB, 'm'));
}

TEST_F(EngineVolumeTest, WithoutARecordIsCreatedAgainFromItsHold) {
  Start();
  VolumeRequest request = Of("volume", kModel);
  ASSERT_OK_AND_ASSIGN(first, engine_->CreateVolume(request));
  ASSERT_TRUE(BecomesComplete(1));
  engine_.reset();
  // As a crash between the two leaves it.
  std::filesystem::remove(std::filesystem::path(root_) / "volumes" / Names("volumes").at(0));
  for (const std::string& name : Names("references")) {
    std::filesystem::remove(std::filesystem::path(root_) / "references" / name);
  }
  hub_.reset();
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(again, engine_->CreateVolume(request));
  EXPECT_EQ(again.commit, first.commit);
  EXPECT_EQ(HoldCount(), 1u);
  EXPECT_EQ(CodeOf(Of("volume", kModel, 7)), Code::kAlreadyExists);
}

TEST_F(EngineVolumeTest, WithoutARecordAndItsBranchMovedHoldsWhatItMeansNow) {
  Start();
  VolumeRequest request = Of("volume", kModel);
  ASSERT_OK_AND_ASSIGN(first, engine_->CreateVolume(request));
  engine_.reset();
  std::filesystem::remove(std::filesystem::path(root_) / "volumes" / Names("volumes").at(0));
  AddFile("org/model", "more.bin", std::string(kMiB, 'n'));
  hub_->Rescan();
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(again, engine_->CreateVolume(request));
  EXPECT_EQ(again.commit, hub_->Commit("org/model"));
  ASSERT_EQ(HoldCount(), 1u);
  EXPECT_EQ(engine_->Info()->holds[0].bytes, 2 * kMiB);
}

TEST_F(EngineVolumeTest, EndsItsHoldByItselfWhereNobodyComesAlsoOneOfBeforeTheStart) {
  Start();
  EngineOptions options = Options();
  options.hold_timeout = std::chrono::seconds(1);
  ASSERT_TRUE(engine_->Reconfigure(options));
  ASSERT_OK_AND_ASSIGN(before, engine_->CreateVolume(Of("before", kPrivate, kMiB)));
  engine_.reset();
  OpenEngine(options);
  ASSERT_OK_AND_ASSIGN(now, engine_->CreateVolume(Of("now", kPrivate, kMiB)));
  EXPECT_TRUE(Becomes([&] { return HoldCount() == 0; }));
  EXPECT_EQ(engine_->Capacity()->reserved, 0u);
  EXPECT_TRUE(engine_->GetVolume("before"));
}

}  // namespace
}  // namespace weighhouse
