// What a volume leaves where it is refused, where a step of it fails, and after a crash between
// two.

#include <filesystem>
#include <future>
#include <thread>

#include "test/cache-daemon/engine/volume_fixture.h"
#include "test/cache-daemon/io/fault_filesystem.h"

namespace weighhouse {
namespace {

namespace fs = std::filesystem;

class EngineVolumeOrderTest : public VolumeFixture {
 protected:
  ~EngineVolumeOrderTest() override { engine_.reset(); }  // it uses the disk

  void Start(Bytes limit = 0) {
    AddFile("org/model", "model.bin", std::string(kMiB, 'm'));
    StartHub();
    Open(limit);
  }
  void Open(Bytes limit = 0) {
    engine_.reset();
    EngineOptions options = Options();
    options.store.limit = limit;
    options.filesystem = &disk_;
    OpenEngine(options);
  }
  void RemoveAll(const std::string& directory) {
    for (const std::string& name : Names(directory)) fs::remove(fs::path(root_) / directory / name);
  }

  io::PosixFilesystem machines_;
  io::FaultFilesystem disk_{machines_};
};

TEST_F(EngineVolumeOrderTest, TwoThatAreRefusedTogetherLeaveNothing) {
  Start(kMiB - 64 * kKiB);
  std::promise<void> second_waits;
  std::promise<void> first_ended;
  std::jthread second;
  // The first one finds the snapshot in use by the second, which had found it known.
  disk_.Before("SpaceOf", "", [&] {
    disk_.Before("SpaceOf", "", [&] {
      second_waits.set_value();
      first_ended.get_future().wait();
    });
    second = std::jthread([&] { EXPECT_EQ(CodeOf(Of("two", kModel)), Code::kResourceExhausted); });
    second_waits.get_future().wait();
  });
  EXPECT_EQ(CodeOf(Of("one", kModel)), Code::kResourceExhausted);
  EXPECT_EQ(Names("snapshots").size(), 1u) << "the second is still at it";
  first_ended.set_value();
  second.join();
  EXPECT_TRUE(Names("snapshots").empty());
  EXPECT_EQ(HoldCount(), 0u);
}

TEST_F(EngineVolumeOrderTest, ThatCantBeRecordedChangesNoReference) {
  Start();
  disk_.FailAt({.operation = "SyncFile", .path = "volumes/", .error_number = EIO});
  EXPECT_EQ(CodeOf(Of("volume", kModel)), Code::kInternal);
  EXPECT_TRUE(Names("references").empty());
  EXPECT_EQ(engine_->GetVolume("volume").error().code, Code::kNotFound);
  EXPECT_TRUE(Names("snapshots").empty());
  EXPECT_EQ(HoldCount(), 0u);
}

TEST_F(EngineVolumeOrderTest, WhoseRecordCantBeTakenBackKeepsItsHold) {
  Start();
  disk_.FailAt({.operation = "SyncDirectory", .path = "volumes", .error_number = EIO});
  disk_.FailAt({.operation = "Unlink",
                .path = "volumes/",
                .times = io::Fault::kForever,
                .error_number = EIO});
  EXPECT_EQ(CodeOf(Of("volume", kModel)), Code::kInternal);
  disk_.ClearFaults();
  Open();
  EXPECT_TRUE(engine_->GetVolume("volume"));
  EXPECT_EQ(HoldCount(), 1u) << "a record without its hold promises nothing";
}

TEST_F(EngineVolumeOrderTest, WhoseReferenceCantBeRecordedIsPromisedAndTheSameAgainRecordsIt) {
  Start();
  disk_.FailAt({.operation = "SyncFile", .path = "references/", .error_number = EIO});
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("volume", kModel)));
  EXPECT_EQ(HoldCount(), 1u);
  EXPECT_EQ(MeantBy(kModel), "") << "its branch comes after its commit";
  ASSERT_TRUE(engine_->CreateVolume(Of("volume", kModel)));
  EXPECT_EQ(MeantBy(kModel + ("@" + volume.commit)), volume.commit);
  EXPECT_TRUE(BecomesComplete(1));
}

TEST_F(EngineVolumeOrderTest, HasTheReferenceOfItsCommitBeforeThatOfItsBranch) {
  Start();
  disk_.FailAt({.operation = "SyncFile", .path = "references/", .at = 2, .error_number = EIO});
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("volume", kModel)));
  EXPECT_EQ(MeantBy(kModel + ("@" + volume.commit)), volume.commit);
  EXPECT_EQ(MeantBy(kModel), "");
}

TEST_F(EngineVolumeOrderTest, WithoutItsReferencesIsFinishedByTheSameAgain) {
  Start();
  hub_->SetFaults(R"([{"side": "cdn", "path": "model.bin",
                       "action": {"kind": "delay", "seconds": 120}}])");
  VolumeRequest request = Of("volume", kModel);
  ASSERT_OK_AND_ASSIGN(first, engine_->CreateVolume(request));
  engine_.reset();
  RemoveAll("references");  // as a crash after the record leaves it
  hub_->ClearFaults();
  Open();
  ASSERT_OK_AND_ASSIGN(again, engine_->CreateVolume(request));
  EXPECT_EQ(again.commit, first.commit);
  EXPECT_EQ(MeantBy(kModel + ("@" + first.commit)), first.commit);
  EXPECT_TRUE(BecomesComplete(1));
}

TEST_F(EngineVolumeOrderTest, WithoutItsReferencesIsFinishedAndMovesNoBranchBack) {
  Start();
  VolumeRequest request = Of("volume", kModel);
  ASSERT_OK_AND_ASSIGN(first, engine_->CreateVolume(request));
  engine_.reset();
  RemoveAll("references");
  AddFile("org/model", "model.bin", std::string(kMiB, 'n'));
  hub_->Rescan();
  Open();
  ASSERT_OK_AND_ASSIGN(newer, Acquire(Request(kModel)));
  ASSERT_NE(newer.revision, first.commit);
  ASSERT_TRUE(engine_->CreateVolume(request));
  EXPECT_EQ(MeantBy(kModel), newer.revision);
  EXPECT_EQ(MeantBy(kModel + ("@" + first.commit)), first.commit);
}

TEST_F(EngineVolumeOrderTest, OfAModelWithoutCommitsIsFinishedToo) {
  WriteTestFile(directory_ / "local/model.bin", "bytes");
  std::string model = "file://" + (directory_ / "local").string();
  Open();
  ASSERT_TRUE(engine_->CreateVolume(Of("volume", model)));
  ASSERT_TRUE(BecomesComplete(1));
  engine_.reset();
  RemoveAll("references");
  Open();
  ASSERT_EQ(MeantBy(model), "");
  ASSERT_TRUE(engine_->CreateVolume(Of("volume", model)));
  EXPECT_NE(MeantBy(model), "");
}

TEST_F(EngineVolumeOrderTest, AHoldOfAnotherRequestWithoutARecordIsInNobodysWay) {
  Start();
  ASSERT_TRUE(engine_->CreateVolume(Of("volume", kModel)));
  engine_.reset();
  RemoveAll("volumes");  // as a crash before the record leaves it
  Open();
  ASSERT_EQ(HoldCount(), 1u);
  ASSERT_OK_AND_ASSIGN(other, engine_->CreateVolume(Of("volume", kModel, 3 * kMiB)));
  EXPECT_EQ(other.capacity_bytes, 3 * kMiB);
  EXPECT_EQ(HoldCount(), 1u);
  EXPECT_EQ(CodeOf(Of("volume", kModel)), Code::kAlreadyExists) << "now it has a record";
}

TEST_F(EngineVolumeOrderTest, ASnapshotThatNothingCameOfGoesAtTheStart) {
  Start();
  hub_->SetFaults(R"([{"side": "cdn", "path": "model.bin",
                       "action": {"kind": "delay", "seconds": 120}}])");
  ASSERT_TRUE(engine_->CreateVolume(Of("volume", kModel)));
  engine_.reset();
  Open();
  EXPECT_EQ(Names("snapshots").size(), 1u) << "it is held, and a reference names it";
  engine_.reset();
  // As a crash before the hold leaves it.
  for (const char* directory : {"holds", "volumes", "references"}) RemoveAll(directory);
  fs::remove_all(fs::path(root_) / "ingests");
  fs::create_directory(fs::path(root_) / "ingests");
  Open();
  EXPECT_TRUE(Names("snapshots").empty());
}

}  // namespace
}  // namespace weighhouse
