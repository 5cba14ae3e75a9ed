#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;

const TestFiles kVerifyFiles = {{"good", "good bytes"}, {"victim", "bytes that will rot"}};
const std::string kRotten = "bytes that have rot";

/// Whether this process has the file open, removed or not.
bool IsOpen(const std::string& path) {
  return std::ranges::any_of(fs::directory_iterator("/proc/self/fd"), [&](const auto& entry) {
    std::error_code gone;  // the iterator's own
    return fs::read_symlink(entry.path(), gone).string().starts_with(path);
  });
}

class VerifyTest : public StoreTest {
 protected:
  VerifyTest() {
    Open();
    id_ = Fill(*store_, ListingOf(kVerifyFiles), kVerifyFiles)->id;
  }
  /// Changes the blob's bytes behind the store's back, in place as a failing disk does.
  void Rot() {
    fs::permissions(Blob(), fs::perms(0644));
    std::ofstream(Blob(), std::ios::in | std::ios::out | std::ios::binary) << kRotten;
    fs::permissions(Blob(), fs::perms(0444));
  }
  std::string Blob() const { return Names().Blob(sha256_); }
  /// What the blob was found to be, if it is bad.
  Result<std::optional<std::string>> Verify() {
    std::optional<BadBlob> bad = TRY(store_->VerifyBlob(sha256_, {}));
    if (!bad) return std::nullopt;
    return bad->found;
  }
  size_t InQuarantine() const { return NamesBelow(Root() / "quarantine").size(); }
  std::string Tree() {
    auto tree = store_->EnsureTree(id_, Layout::kFiles, "");
    EXPECT_TRUE(tree.has_value()) << tree.error().message;
    return tree.value_or("");
  }

  const Digest sha256_ = Digest::Of(kVerifyFiles.at("victim"));
  std::string id_;
};

TEST_F(VerifyTest, RightBytesAreNoFinding) {
  auto finding = Verify();
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(*finding, std::nullopt);
}

TEST_F(VerifyTest, ReadsAFileOfManyPieces) {
  TestFiles large = {{"large", PatternBytes((9 << 20) + 123, 1)}};
  ASSERT_TRUE(Fill(*store_, ListingOf(large), large).has_value());
  Bytes read = 0;
  auto finding = store_->VerifyBlob(Digest::Of(large.at("large")), [&](Bytes bytes) {
    read += bytes;
    return true;
  });
  ASSERT_TRUE(finding.has_value());
  EXPECT_FALSE(finding->has_value());
  EXPECT_EQ(read, large.at("large").size());
}

TEST_F(VerifyTest, StopsWhenTold) {
  auto stopped = store_->VerifyBlob(sha256_, [](Bytes) { return false; });
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
  EXPECT_EQ(store_->VerifyBlob(Digest::Of("unknown"), {}).error().code, Code::kNotFound);
}

TEST_F(VerifyTest, BadBlobGoesToQuarantineAndItsSnapshotLacksIt) {
  Rot();
  auto finding = Verify();
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(*finding, Digest::Of(kRotten).Hex());
  EXPECT_EQ(ReadTestFile(Names().Quarantined(sha256_)), kRotten);
  EXPECT_FALSE(fs::exists(Blob()));
  for (bool restarted : {false, true}) {
    if (restarted) Reopen();
    auto snapshot = store_->FindSnapshot(id_);
    EXPECT_FALSE(snapshot->complete);
    EXPECT_TRUE(snapshot->files[0].blob.has_value());
    EXPECT_FALSE(snapshot->files[1].blob.has_value()) << "its record says which file";
    EXPECT_FALSE(MayUse(snapshot->origin, kVerifyFiles.at("victim")));
    EXPECT_EQ(store_->Space()->held, 4096u) << "quarantine takes space";
    EXPECT_EQ(store_->FindTree(id_, Layout::kFiles, ""), std::nullopt);
    EXPECT_EQ(store_->EnsureTree(id_, Layout::kFiles, "").error().code, Code::kFailedPrecondition);
  }
  EXPECT_EQ(Verify().error().code, Code::kNotFound);
}

TEST_F(VerifyTest, RefilledSnapshotIsServedFromGoodBytes) {
  std::string tree = Tree();
  Rot();
  ASSERT_TRUE(Verify().has_value());
  EXPECT_FALSE(fs::exists(Absolute(tree))) << "nobody had it";
  ASSERT_TRUE(Fill(*store_, ListingOf(kVerifyFiles), kVerifyFiles).has_value());
  EXPECT_EQ(FilesBelow(Absolute(Tree())), kVerifyFiles);
  ExpectOnlyTrueBytes(*store_);
}

TEST_F(VerifyTest, LeasedTreeStaysForItsPodsAndIsHandedOutNoMore) {
  std::string tree = Tree();
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "pod", tree)).has_value());
  Rot();
  ASSERT_TRUE(Verify().has_value());
  ASSERT_TRUE(Fill(*store_, ListingOf(kVerifyFiles), kVerifyFiles).has_value());
  for (bool restarted : {false, true}) {
    if (restarted) Reopen();
    EXPECT_EQ(ReadTestFile(Absolute(tree) + "/victim"), kRotten) << "the pod still reads it";
    std::string next = Tree();
    EXPECT_NE(next, tree);
    EXPECT_EQ(FilesBelow(Absolute(next)), kVerifyFiles);
    EXPECT_EQ(store_->SnapshotOfTree(tree).value(), id_);
  }
  ASSERT_TRUE(store_->DropLease(LeaseOn(id_, "pod").id).has_value());
  EXPECT_FALSE(fs::exists(Absolute(tree)));
  EXPECT_EQ(FilesBelow(Absolute(Tree())), kVerifyFiles);
}

TEST_F(VerifyTest, LeaseThatNamesNoTreeHoldsThemAll) {
  std::string tree = Tree();
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "pod")).has_value());
  Rot();
  ASSERT_TRUE(Verify().has_value());
  EXPECT_TRUE(fs::exists(Absolute(tree)));
  ASSERT_TRUE(store_->DropLease(LeaseOn(id_, "pod").id).has_value());
  EXPECT_FALSE(fs::exists(Absolute(tree)));
}

TEST_F(VerifyTest, WithdrawnTreeGoesAtAStartWhereNobodyHasIt) {
  std::string tree = Tree();
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "pod", tree)).has_value());
  Rot();
  ASSERT_TRUE(Verify().has_value());
  Close();
  fs::remove(Names().Lease(LeaseOn(id_, "pod").id));
  Open();
  EXPECT_FALSE(fs::exists(Absolute(tree)));
}

TEST_F(VerifyTest, BlobLostBeforeAStartWithdrawsTheTreeEvenIfItComesBack) {
  std::string tree = Tree();
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "pod", tree)).has_value());
  Rot();
  Close();
  // As a kill right after the move into quarantine.
  fs::rename(Blob(), Names().Quarantined(sha256_));
  Open();
  EXPECT_FALSE(store_->FindSnapshot(id_)->complete);
  Listing other = ListingOf(kVerifyFiles, {.revision = std::string(40, 'e')});
  ASSERT_TRUE(Fill(*store_, other, kVerifyFiles).has_value());
  Reopen();
  ASSERT_TRUE(store_->BeginSnapshot(ListingOf(kVerifyFiles)).has_value());
  ASSERT_TRUE(store_->CompleteSnapshot(id_).has_value());
  EXPECT_NE(Tree(), tree);
  EXPECT_EQ(FilesBelow(Absolute(Tree())), kVerifyFiles);
}

TEST_F(VerifyTest, EverySnapshotWithTheBlobIsMarked) {
  Listing other = ListingOf(kVerifyFiles, {.revision = std::string(40, 'e')});
  ASSERT_TRUE(Fill(*store_, other, kVerifyFiles).has_value());
  EXPECT_EQ(store_->Blobs("").size(), 2u);
  EXPECT_EQ(store_->Blobs(id_).front().paths.size(), 1u);
  EXPECT_EQ(store_->Blobs("").front().paths.size(), 2u);
  Rot();
  ASSERT_TRUE(Verify().has_value());
  for (const Snapshot& snapshot : store_->Snapshots()) EXPECT_FALSE(snapshot.complete);
  EXPECT_EQ(store_->Blobs("").size(), 1u);
}

TEST_F(VerifyTest, FindingNamesTheFilesThatShowTheBlob) {
  Rot();
  auto bad = store_->VerifyBlob(sha256_, {});
  ASSERT_TRUE(bad.has_value() && bad->has_value());
  EXPECT_EQ((*bad)->paths, std::vector<std::string>{id_ + "/victim"});
}

TEST_F(VerifyTest, RefilledBlobLeavesQuarantine) {
  Rot();
  ASSERT_TRUE(Verify().has_value());
  EXPECT_EQ(store_->Quarantined().blobs, 1u);
  EXPECT_EQ(store_->Quarantined().bytes, 4096u);
  ASSERT_TRUE(Fill(*store_, ListingOf(kVerifyFiles), kVerifyFiles).has_value());
  EXPECT_EQ(store_->Quarantined().blobs, 0u);
  EXPECT_EQ(InQuarantine(), 0u);
  EXPECT_EQ(store_->Space()->held, 0u);
  EXPECT_EQ(store_->Space()->used, 8192u);
}

TEST_F(VerifyTest, QuarantineStaysWhileAPodHasTheBadFileAndNamesIt) {
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "pod", Tree())).has_value());
  EXPECT_TRUE(store_->DamagedLeases().empty());
  Rot();
  ASSERT_TRUE(Verify().has_value());
  ASSERT_TRUE(Fill(*store_, ListingOf(kVerifyFiles), kVerifyFiles).has_value());
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "next", Tree())).has_value());
  for (bool restarted : {false, true}) {
    if (restarted) Reopen();
    EXPECT_EQ(store_->DropQuarantined(), 0u) << "its bytes would stay, uncounted";
    EXPECT_EQ(store_->Quarantined().blobs, 1u);
    ASSERT_EQ(store_->DamagedLeases().size(), 1u) << "the next pod has good bytes";
    EXPECT_EQ(store_->DamagedLeases()[0].id, LeaseOn(id_, "pod").id);
  }
  ASSERT_TRUE(store_->DropLease(LeaseOn(id_, "pod").id).has_value());
  EXPECT_TRUE(store_->DamagedLeases().empty());
  EXPECT_EQ(filesystem_.Count("Unlink", ".gone-") + filesystem_.Count("Unlink", "quarantine"), 0)
      << "files may be large, and whoever drops leases has no time for them";
  store_->TidyQuarantine();
  EXPECT_EQ(store_->Quarantined().blobs, 0u);
  EXPECT_EQ(InQuarantine(), 0u);
}

TEST_F(VerifyTest, QuarantineGoesWhenToldOrWhenNobodyListsIt) {
  Rot();
  ASSERT_TRUE(Verify().has_value());
  EXPECT_EQ(store_->DropQuarantined(), 4096u);
  EXPECT_EQ(InQuarantine(), 0u);
  ASSERT_TRUE(Fill(*store_, ListingOf(kVerifyFiles), kVerifyFiles).has_value());
  Rot();
  ASSERT_TRUE(Verify().has_value());
  EXPECT_EQ(store_->Evict(id_).value(), 8192u);
  EXPECT_EQ(InQuarantine(), 0u);
}

TEST_F(VerifyTest, RefilledBeforeAKillLeavesQuarantineAtTheNextStart) {
  Rot();
  ASSERT_TRUE(Verify().has_value());
  filesystem_.FailAt({.operation = "Unlink", .path = "quarantine", .error_number = EIO});
  ASSERT_TRUE(Fill(*store_, ListingOf(kVerifyFiles), kVerifyFiles).has_value());
  EXPECT_EQ(store_->Quarantined().blobs, 1u);
  Reopen();
  EXPECT_EQ(store_->Quarantined().blobs, 0u);
  EXPECT_EQ(InQuarantine(), 0u);
}

TEST_F(VerifyTest, QuarantineMakesRoomBeforeAFillIsRefusedOrAModelEvicted) {
  Close();
  options_.limit = kMiB;
  Open();
  Rot();
  ASSERT_TRUE(Verify().has_value());
  auto reserved = store_->Reserve(kMiB - 4096, "another", {});
  EXPECT_TRUE(reserved.has_value()) << reserved.error().message;
  EXPECT_EQ(store_->Quarantined().blobs, 0u);
  EXPECT_TRUE(store_->FindSnapshot(id_).has_value());
}

TEST_F(VerifyTest, UnreadableBlobIsAFinding) {
  fs::remove(Blob());
  fs::create_directory(Blob());
  auto finding = Verify();
  ASSERT_TRUE(finding.has_value()) << finding.error().message;
  ASSERT_TRUE(finding->has_value());
  EXPECT_TRUE((*finding)->contains("unreadable at byte 0")) << **finding;
  EXPECT_FALSE(store_->FindSnapshot(id_)->complete);
}

TEST_F(VerifyTest, MissingBlobIsAFinding) {
  fs::remove(Blob());
  EXPECT_EQ(Verify().value(), "missing");
  EXPECT_FALSE(store_->FindSnapshot(id_)->complete);
  EXPECT_TRUE(NamesBelow(Root() / "quarantine").empty());
}

TEST_F(VerifyTest, BlobThatCantBeMovedIsAFindingAndStaysAsItWas) {
  Rot();
  filesystem_.FailAt({.operation = "Rename", .path = "quarantine", .error_number = EROFS});
  auto bad = store_->VerifyBlob(sha256_, {});
  ASSERT_TRUE(bad.has_value() && bad->has_value());
  EXPECT_EQ((*bad)->found, Digest::Of(kRotten).Hex());
  EXPECT_EQ((*bad)->paths, std::vector<std::string>{id_ + "/victim"});
  EXPECT_TRUE((*bad)->stays.contains("Read-only")) << (*bad)->stays;
  EXPECT_TRUE(store_->FindSnapshot(id_)->complete);
  ASSERT_TRUE(Verify().has_value());
  EXPECT_FALSE(store_->FindSnapshot(id_)->complete);
}

TEST_F(VerifyTest, BlobThatIsEvictedBetweenPiecesIsNotHeldOpen) {
  TestFiles large = {{"large", PatternBytes((9 << 20) + 123, 1)}};
  Listing listing = ListingOf(large, {.revision = std::string(40, 'e')});
  ASSERT_TRUE(Fill(*store_, listing, large).has_value());
  Digest sha256 = Digest::Of(large.at("large"));
  auto verified = store_->VerifyBlob(sha256, [&](Bytes) {
    EXPECT_FALSE(IsOpen(Names().Blob(sha256)));
    EXPECT_TRUE(store_->Evict(listing.SnapshotId()).has_value());
    return true;
  });
  ASSERT_FALSE(verified.has_value());
  EXPECT_EQ(verified.error().code, Code::kNotFound);
}

TEST_F(VerifyTest, WhatAnotherReaderFoundFirstIsNoFinding) {
  Rot();
  for (bool refilled : {true, false}) {
    auto late = store_->VerifyBlob(sha256_, [&](Bytes) {
      EXPECT_EQ(Verify().value(), Digest::Of(kRotten).Hex());
      if (refilled) {
        EXPECT_TRUE(Fill(*store_, ListingOf(kVerifyFiles), kVerifyFiles).has_value());
      }
      return true;
    });
    ASSERT_FALSE(late.has_value()) << (*late)->found;
    EXPECT_EQ(late.error().code, Code::kNotFound);
    if (refilled) Rot();
  }
}

TEST_F(VerifyTest, QuarantineThatAnAdminRemovedIsMadeAgain) {
  Rot();
  fs::remove(Root() / "quarantine");
  EXPECT_EQ(Verify().value(), Digest::Of(kRotten).Hex());
  EXPECT_EQ(ReadTestFile(Names().Quarantined(sha256_)), kRotten);
  EXPECT_FALSE(fs::exists(Blob()));
}

TEST_F(VerifyTest, BadBytesCountOnceWhileSnapshotsAreMarked) {
  Rot();
  Bytes used = store_->Space()->used;
  filesystem_.Before("WriteFile", "snapshots/", [&] {
    EXPECT_TRUE(fs::exists(Names().Quarantined(sha256_)));
    EXPECT_EQ(store_->Space()->used, used);
  });
  ASSERT_TRUE(Verify().has_value());
  EXPECT_EQ(store_->Space()->used, used);
}

TEST_F(VerifyTest, TreeWithTheBadFileIsNotHandedOutAgainWhereItsRecordCouldNotBeWritten) {
  std::string tree = Tree();
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "pod", tree)).has_value());
  Rot();
  filesystem_.FailAt({.operation = "WriteFile",
                      .path = "snapshots/",
                      .times = io::Fault::kForever,
                      .error_number = ENOSPC});
  ASSERT_TRUE(Verify().has_value());
  filesystem_.ClearFaults();
  Listing other = ListingOf(kVerifyFiles, {.revision = std::string(40, 'e')});
  ASSERT_TRUE(Fill(*store_, other, kVerifyFiles).has_value());
  Reopen();
  EXPECT_EQ(ReadTestFile(Absolute(tree) + "/victim"), kRotten) << "the pod still reads it";
  ASSERT_TRUE(Fill(*store_, ListingOf(kVerifyFiles), kVerifyFiles).has_value());
  EXPECT_NE(Tree(), tree);
  EXPECT_EQ(FilesBelow(Absolute(Tree())), kVerifyFiles);
}

TEST_F(VerifyTest, NobodyIsGivenATreeWhileOrAfterItsBlobProvesBad) {
  std::string tree = Tree();
  ASSERT_TRUE(store_->TakeLease(LeaseOn(id_, "pod", tree)).has_value());
  Listing other = ListingOf(kVerifyFiles, {.revision = std::string(40, 'e')});
  ASSERT_TRUE(store_->BeginSnapshot(other).has_value());
  Rot();
  filesystem_.Before("Rename", "quarantine", [&] {
    EXPECT_EQ(store_->TakeLease(LeaseOn(id_, "late", tree)).error().code, Code::kAborted);
    EXPECT_EQ(store_->CompleteSnapshot(other.SnapshotId()).error().code, Code::kAborted);
  });
  ASSERT_TRUE(Verify().has_value());
  EXPECT_EQ(store_->TakeLease(LeaseOn(id_, "later", tree)).error().code, Code::kAborted);
  EXPECT_TRUE(store_->TakeLeaseOfMount(LeaseOn(id_, "mounted", tree)).has_value());
  EXPECT_EQ(store_->DamagedLeases().size(), 2u);
}

}  // namespace
}  // namespace weighhouse::store
