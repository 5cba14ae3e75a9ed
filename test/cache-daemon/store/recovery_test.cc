#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;

const TestFiles kRecoveryFiles = {{"a", "first"}, {"b", "second"}};

class RecoveryTest : public StoreTest {
 protected:
  RecoveryTest() {
    Open();
    id_ = Fill(*store_, ListingOf(kRecoveryFiles), kRecoveryFiles)->id;
    tree_ = *store_->EnsureTree(id_, Layout::kFiles, "");
  }
  std::string id_;
  std::string tree_;
};

TEST_F(RecoveryTest, FindsEverythingAndRemovesNothingThatCounts) {
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "pod", tree_)).has_value());
  std::vector<std::string> before = NamesBelow(Root());
  Reopen();
  EXPECT_EQ(NamesBelow(Root()), before);
  const RecoverySummary& summary = store_->recovery();
  EXPECT_EQ(summary.blobs, 2u);
  EXPECT_EQ(summary.snapshots, 1u);
  EXPECT_EQ(summary.leases, 1u);
  EXPECT_EQ(summary.dropped_ingests, 0u);
  EXPECT_EQ(summary.dropped_orphans, 0u);
  EXPECT_EQ(store_->Space()->used, 2u * 4096);
  EXPECT_EQ(store_->Space()->held, 2u * 4096);
}

TEST_F(RecoveryTest, LooksAtNoBlob) {
  Close();
  int before = filesystem_.Count("", "blobs/sha256/");
  int lists = filesystem_.Count("List", "blobs/sha256/");
  Open();
  EXPECT_EQ(filesystem_.Count("", "blobs/sha256/") - before,
            filesystem_.Count("List", "blobs/sha256/") - lists);
}

TEST_F(RecoveryTest, RemovesWhatACrashLeaves) {
  Close();
  WriteTestFile(Root() / "ingests" / std::string(64, '1') / "data", "half");
  WriteTestFile(Root() / "snapshots/.x.json.new", "{");
  WriteTestFile(Root() / "snapshots" / (std::string(64, '2') + ".verified"), "");
  WriteTestFile(Root() / "references/.x.json.new", "{");
  WriteTestFile(Root() / "leases/.x.new", "{");
  WriteTestFile(Root() / "trees/files/.new-x/a/b", "x");
  WriteTestFile(Root() / "trees/hub/.gone-7-x/a/b", "x");
  WriteTestFile(Root() / "trees/files" / std::string(64, '3') / "file", "of no snapshot");
  std::string orphan = Digest::Of("orphan").Hex();
  WriteTestFile(Root() / "blobs/sha256" / orphan.substr(0, 2) / orphan, "orphan");
  Open();
  EXPECT_EQ(store_->recovery().dropped_ingests, 1u);
  EXPECT_EQ(store_->recovery().dropped_orphans, 2u);
  ExpectNoGarbage(Root());
  EXPECT_FALSE(BlobExists("orphan"));
  EXPECT_FALSE(fs::exists(Root() / "trees/files" / std::string(64, '3')));
  EXPECT_FALSE(fs::exists(Root() / "snapshots" / (std::string(64, '2') + ".verified")));
  ExpectOnlyTrueBytes(*store_);
}

TEST_F(RecoveryTest, KeepsABlobThatAFillingSnapshotListsByDigestOnly) {
  Listing other = ListingOf(kRecoveryFiles, {.origin = "s3://x", .anonymous = false});
  ASSERT_TRUE(store_->BeginSnapshot(other).has_value());
  Close();
  fs::remove(Names().SnapshotRecord(id_));
  Open();
  EXPECT_TRUE(BlobExists("first"));
  EXPECT_FALSE(MayUse("s3://y", "first"));
  EXPECT_EQ(store_->Space()->used, 2u * 4096) << "its true size, not what the listing claims";
}

TEST_F(RecoveryTest, DamagedRecordIsTakenAsAbsentAndFilledAgain) {
  Close();
  WriteTestFile(Names().SnapshotRecord(id_), "{\"id\": 1");
  Open();
  EXPECT_FALSE(store_->FindSnapshot(id_).has_value());
  EXPECT_FALSE(BlobExists("first"));
  ASSERT_TRUE(Fill(*store_, ListingOf(kRecoveryFiles), kRecoveryFiles).has_value());
  Reopen();
  EXPECT_TRUE(store_->FindSnapshot(id_)->complete);
}

TEST_F(RecoveryTest, DamagedRecordOfALeasedTreeTakesNothingFromThePods) {
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "pod")).has_value());
  Close();
  WriteTestFile(Names().SnapshotRecord(id_), "");
  Open();
  EXPECT_EQ(FilesBelow(Absolute(tree_)), kRecoveryFiles);
  EXPECT_EQ(store_->Leases().size(), 1u);
  ASSERT_TRUE(Fill(*store_, ListingOf(kRecoveryFiles), kRecoveryFiles).has_value());
  EXPECT_NE(*store_->EnsureTree(id_, Layout::kFiles, ""), tree_);
  ASSERT_TRUE(store_->DropLease(LeaseOn(id_, "pod").id).has_value());
  Reopen();
  EXPECT_FALSE(fs::exists(Absolute(tree_)));
}

TEST_F(RecoveryTest, MissingBlobMakesItsSnapshotIncomplete) {
  Close();
  fs::remove(Names().Blob(Digest::Of("first")));
  Open();
  auto snapshot = store_->FindSnapshot(id_);
  EXPECT_FALSE(snapshot->complete);
  EXPECT_EQ(snapshot->PresentBytes(), 6u);
  EXPECT_FALSE(fs::exists(Absolute(tree_)));
  ASSERT_TRUE(Fill(*store_, ListingOf(kRecoveryFiles), kRecoveryFiles).has_value());
  ExpectOnlyTrueBytes(*store_);
}

TEST_F(RecoveryTest, DropsLeasesThatCantBeReadOrHoldNothing) {
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "good", tree_)).has_value());
  Close();
  WriteTestFile(Names().Lease(LeaseOn(id_, "torn").id), "{\"snapshot_id\": ");
  WriteTestFile(Root() / "leases/not-an-id", "{}");
  std::string stray = ReadTestFile(Names().Lease(LeaseOn(id_, "good").id));
  stray.replace(stray.find(id_), id_.size(), std::string(64, '0'));
  stray.replace(stray.find(tree_), tree_.size(), "trees/files/none");
  WriteTestFile(Root() / "leases" / std::string(64, '9'), stray);
  Open();
  EXPECT_EQ(store_->Leases().size(), 1u);
  EXPECT_EQ(store_->recovery().leases, 1u);
  EXPECT_EQ(NamesBelow(Root() / "leases").size(), 1u);
}

TEST_F(RecoveryTest, DropsReferencesThatCantBeReadOrNameNothing) {
  std::string fingerprint(64, 'f');
  ASSERT_TRUE(store_->RecordReference({fingerprint, "hf://a/b", id_}).has_value());
  ASSERT_TRUE(store_->RecordReference({std::string(64, 'e'), "hf://a/b", std::string(64, '0')})
                  .has_value());
  Close();
  WriteTestFile(Root() / "references" / (std::string(64, 'd') + ".json"), "{");
  Open();
  EXPECT_EQ(store_->References().size(), 1u);
  EXPECT_TRUE(store_->FindReference(fingerprint).has_value());
  EXPECT_EQ(NamesBelow(Root() / "references").size(), 1u);
}

TEST_F(RecoveryTest, WhatCantBeReadJustNowFailsTheStartAndStays) {
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "pod", tree_)).has_value());
  ASSERT_TRUE(store_->TakeHold(HoldFor("volume", id_, 0, clock_.Now())).has_value());
  ASSERT_TRUE(store_->RecordVolume({.volume_id = "volume", .created = clock_.Now()}).has_value());
  ASSERT_TRUE(store_->RecordReference({std::string(64, 'f'), "hf://a/b", id_}).has_value());
  for (const char* directory : {"/leases/", "/holds/", "/volumes/", "/references/"}) {
    Close();
    filesystem_.FailAt({.operation = "ReadFile", .path = directory, .error_number = EMFILE});
    EXPECT_FALSE(TryOpen().has_value()) << directory;
    filesystem_.ClearFaults();
    Open();
    EXPECT_EQ(store_->Leases().size(), 1u);
    EXPECT_EQ(store_->Holds().size(), 1u);
    EXPECT_EQ(store_->Count().volumes, 1u);
    EXPECT_EQ(store_->References().size(), 1u);
  }
}

TEST_F(RecoveryTest, DropsARecordThatIsLargerThanAny) {
  Close();
  std::string path = Names().Hold(std::string(64, '1'));
  WriteTestFile(path, std::string(2 * kMiB, ' '));
  Open();
  EXPECT_FALSE(fs::exists(path));
}

// Enough for threads: see RecordScan.
class ManyRecordsTest : public RecoveryTest {
 protected:
  static constexpr size_t kMany = 100;
  ManyRecordsTest() {
    for (size_t i = 0; i < kMany; ++i) {
      std::string own = fmt::format("of {}", i);
      TestFiles files = {{"shared", "first"}, {"own", own}};
      ids_.push_back(
          Fill(*store_, ListingOf(files, {.origin = fmt::format("hf+https://hub.test/org/{}", i)}),
               files)
              ->id);
    }
  }
  std::vector<std::string> ids_;
};

TEST_F(ManyRecordsTest, AreAllFound) {
  Reopen();
  EXPECT_EQ(store_->recovery().snapshots, kMany + 1);
  EXPECT_EQ(store_->recovery().blobs, kMany + 2);
  EXPECT_EQ(store_->recovery().dropped_orphans, 0u);
  EXPECT_EQ(store_->Space()->used, (kMany + 2) * kBlock);
  for (const std::string& id : ids_) EXPECT_TRUE(store_->FindSnapshot(id)->complete);
}

TEST_F(ManyRecordsTest, OneThatIsDamagedIsTakenAsAbsentAlone) {
  Close();
  WriteTestFile(Names().SnapshotRecord(ids_[kMany / 2]), "{");
  Open();
  EXPECT_EQ(store_->recovery().snapshots, kMany);
  EXPECT_FALSE(store_->FindSnapshot(ids_[kMany / 2]).has_value());
  EXPECT_TRUE(BlobExists("first"));
  EXPECT_FALSE(BlobExists(fmt::format("of {}", kMany / 2)));
}

TEST_F(ManyRecordsTest, OneThatCantBeReadJustNowFailsTheStart) {
  Close();
  std::string record = Names().SnapshotRecord(ids_[kMany / 2]);
  std::string moved = record + ".moved";
  fs::rename(record, moved);
  fs::create_directory(record);  // reading it is EISDIR
  EXPECT_FALSE(TryOpen().has_value());
  EXPECT_TRUE(BlobExists(fmt::format("of {}", kMany / 2)));
  fs::remove(record);
  fs::rename(moved, record);
  Open();
  EXPECT_TRUE(store_->FindSnapshot(ids_[kMany / 2])->complete);
}

TEST_F(ManyRecordsTest, AreLetGoWhereTheBlobsCantBeListed) {
  Close();
  filesystem_.FailAt({.operation = "List", .path = "/blobs/sha256", .error_number = EIO});
  EXPECT_FALSE(TryOpen().has_value());
  filesystem_.ClearFaults();
  Open();
  EXPECT_EQ(store_->recovery().snapshots, kMany + 1);
}

TEST_F(RecoveryTest, JournalBesideACompleteRecordIsOnlyRemoved) {
  Close();
  WriteTestFile(Names().SnapshotJournal(id_), "\nsha256 nonsense\n");
  Open();
  EXPECT_TRUE(store_->FindSnapshot(id_)->complete);
  EXPECT_FALSE(fs::exists(Names().SnapshotJournal(id_)));
}

TEST_F(RecoveryTest, GarbageThatCantBeRemovedDoesNotStopTheStart) {
  Close();
  WriteTestFile(Root() / "ingests" / std::string(64, '1') / "data", "half");
  filesystem_.FailAt({.operation = "Unlink",
                      .path = "ingests/",
                      .times = io::Fault::kForever,
                      .error_number = EIO});
  Open();
  filesystem_.ClearFaults();
  EXPECT_TRUE(store_->FindSnapshot(id_)->complete);
  EXPECT_TRUE(store_->StartIngest(std::string(64, '1'), Sha256Of(""), 4).has_value());
}

TEST_F(RecoveryTest, DirectoryThatCantBeListedFailsTheStart) {
  Close();
  for (std::string part : {"/snapshots", "/leases", "/trees/files", "/blobs/sha256/", "/ingests"}) {
    filesystem_.FailAt({.operation = "List", .path = part, .error_number = EIO});
    EXPECT_FALSE(TryOpen().has_value()) << part;
    filesystem_.ClearFaults();
  }
  Open();
  ExpectOnlyTrueBytes(*store_);
}

}  // namespace
}  // namespace weighhouse::store
