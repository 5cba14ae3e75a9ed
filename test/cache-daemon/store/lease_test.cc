#include <cerrno>
#include <filesystem>

#include <gmock/gmock.h>

#include "cache-daemon/store/lease_book.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;

const TestFiles kLeaseFiles = {{"w.bin", "weights"}};

class LeaseTest : public StoreTest {
 protected:
  LeaseTest() {
    Open();
    snapshot_id_ = Fill(*store_, ListingOf(kLeaseFiles), kLeaseFiles)->id;
    tree_ = *store_->EnsureTree(snapshot_id_, Layout::kFiles, "");
  }
  std::string snapshot_id_;
  std::string tree_;
};

TEST_F(LeaseTest, OutlivesTheProcessWithAllItSays) {
  LeaseRecord lease = LeaseOn(snapshot_id_, "pod", tree_);
  ASSERT_TRUE(store_->TakeLease(lease).has_value());
  Reopen();
  auto found = store_->FindLease(lease.id);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(LeaseToJson(*found), LeaseToJson(lease));
  EXPECT_EQ(store_->recovery().leases, 1u);
  EXPECT_EQ(store_->Leases().size(), 1u);
}

TEST_F(LeaseTest, IsWrittenWithoutASync) {
  int syncs = filesystem_.Count("SyncFile") + filesystem_.Count("SyncDirectory");
  ASSERT_TRUE(store_->TakeLease(LeaseOn(snapshot_id_, "pod", tree_)).has_value());
  ASSERT_TRUE(store_->DropLease(LeaseOn(snapshot_id_, "pod").id).has_value());
  EXPECT_EQ(filesystem_.Count("SyncFile") + filesystem_.Count("SyncDirectory"), syncs);
}

TEST_F(LeaseTest, CountsAsAUseWhenTakenAndWhenDropped) {
  for (bool taken : {true, false}) {
    clock_.Advance(std::chrono::seconds(7));
    LeaseRecord lease = LeaseOn(snapshot_id_, "pod", tree_);
    ASSERT_TRUE((taken ? store_->TakeLease(lease) : store_->DropLease(lease.id)).has_value());
    EXPECT_EQ(store_->FindSnapshot(snapshot_id_)->last_used, clock_.Now());
  }
}

TEST_F(LeaseTest, ReplacesTheOneOfTheSameId) {
  TestFiles other_files = {{"x", "other"}};
  std::string other = Fill(*store_, ListingOf(other_files), other_files)->id;
  ASSERT_TRUE(store_->TakeLease(LeaseOn(snapshot_id_, "pod")).has_value());
  ASSERT_TRUE(store_->TakeLease(LeaseOn(other, "pod")).has_value());
  EXPECT_EQ(store_->Leases().size(), 1u);
  EXPECT_TRUE(store_->Evict(snapshot_id_).has_value());
  EXPECT_EQ(store_->Evict(other).error().code, Code::kFailedPrecondition);
}

TEST_F(LeaseTest, DroppingAnUnknownOneIsFine) {
  EXPECT_TRUE(store_->DropLease(std::string(64, '0')).has_value());
  EXPECT_TRUE(store_->DropLease("../../etc/passwd").has_value());
}

TEST_F(LeaseTest, MayBeHadBeforeTheTreeExists) {
  std::string filling = store_->BeginSnapshot(ListingOf({{"y", "later"}}))->id;
  EXPECT_TRUE(store_->TakeLease(LeaseOn(filling, "pod")).has_value());
  EXPECT_EQ(store_->Evict(filling).error().code, Code::kFailedPrecondition);
}

TEST_F(LeaseTest, IsRefusedOnWhatIsNotThere) {
  EXPECT_EQ(store_->TakeLease(LeaseOn(std::string(64, '0'), "pod")).error().code, Code::kNotFound);
  EXPECT_EQ(store_->TakeLease(LeaseOn(snapshot_id_, "pod", "trees/files/x")).error().code,
            Code::kAborted);
  LeaseRecord bad_id = LeaseOn(snapshot_id_, "pod");
  bad_id.id = "../x";
  EXPECT_EQ(store_->TakeLease(bad_id).error().code, Code::kInvalidArgument);
  EXPECT_TRUE(store_->Leases().empty());
}

TEST_F(LeaseTest, FailedWriteLeavesWhatWasThere) {
  LeaseRecord lease = LeaseOn(snapshot_id_, "pod", tree_);
  for (std::string operation : {"WriteFile", "Rename"}) {
    filesystem_.FailAt({.operation = operation, .path = "leases/", .error_number = ENOSPC});
    auto taken = store_->TakeLease(lease);
    ASSERT_FALSE(taken.has_value());
    EXPECT_EQ(taken.error().code, Code::kResourceExhausted);
    EXPECT_FALSE(store_->FindLease(lease.id).has_value());
    filesystem_.ClearFaults();
  }
  ASSERT_TRUE(store_->TakeLease(lease).has_value());
  LeaseRecord changed = lease;
  changed.pod_name = "another";
  filesystem_.FailAt({.operation = "Rename", .path = "leases/", .error_number = EIO});
  EXPECT_FALSE(store_->TakeLease(changed).has_value());
  EXPECT_EQ(store_->FindLease(lease.id)->pod_name, "pod");
  filesystem_.FailAt({.operation = "Unlink", .path = "leases/", .error_number = EIO});
  EXPECT_FALSE(store_->DropLease(lease.id).has_value());
  EXPECT_TRUE(store_->FindLease(lease.id).has_value());
  EXPECT_TRUE(store_->DropLease(lease.id).has_value());
}

TEST(LeaseBookTest, TellsWhichTreesAreHeld) {
  LeaseBook book;
  book.Put(LeaseOn("s", "named", "trees/files/s"));
  EXPECT_TRUE(book.HoldsTree("trees/files/s", "s"));
  EXPECT_FALSE(book.HoldsTree("trees/hub/h", "s"));
  book.Put(LeaseOn("s", "any"));
  EXPECT_TRUE(book.HoldsTree("trees/hub/h", "s"));
  EXPECT_EQ(book.CountOnSnapshot("s"), 2u);
  book.Remove(LeaseOn("s", "any").id);
  book.Remove(LeaseOn("s", "named").id);
  book.Remove("unknown");
  EXPECT_FALSE(book.HoldsTree("trees/files/s", "s"));
  EXPECT_EQ(book.CountOnSnapshot("s"), 0u);
}

TEST(LeaseBookTest, ReadsOnlyWholeRecords) {
  std::string json = LeaseToJson(LeaseOn("s", "p"));
  EXPECT_TRUE(ParseLease(json, "id").has_value());
  for (size_t cut = 0; cut + 2 < json.size(); cut += 7) {
    EXPECT_EQ(ParseLease(json.substr(0, cut), "id").error().code, Code::kDataLoss);
  }
  EXPECT_FALSE(ParseLease("{}", "id").has_value());
  EXPECT_FALSE(ParseLease(LeaseToJson(LeaseOn("s", "p", "../../x")), "id").has_value());
}

}  // namespace
}  // namespace weighhouse::store
