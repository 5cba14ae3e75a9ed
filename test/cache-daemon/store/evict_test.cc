#include <filesystem>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;

const TestFiles kEvictFiles = {{"a", "only here"}, {"shared", "in two models"}};
const TestFiles kOther = {{"b", "only there"}, {"shared", "in two models"}};

class EvictTest : public StoreTest {
 protected:
  EvictTest() { Open(); }
  Snapshot FillOne(const TestFiles& files, char revision = 'a') {
    clock_.Advance(std::chrono::seconds(1));
    Listing listing = ListingOf(files, {.revision = std::string(40, revision)});
    auto snapshot = Fill(*store_, listing, files);
    EXPECT_TRUE(snapshot.has_value()) << snapshot.error().message;
    return *snapshot;
  }
  /// A model of one file of `blocks` 4 KiB blocks.
  TestFiles Sized(const std::string& name, size_t blocks) {
    return {{name, PatternBytes(blocks * 4096, std::hash<std::string>{}(name))}};
  }
};

TEST_F(EvictTest, RemovesSnapshotTreesAndBlobsThatNobodyElseLists) {
  Snapshot snapshot = FillOne(kEvictFiles);
  Snapshot other = FillOne(kOther, 'b');
  auto tree = store_->EnsureTree(snapshot.id, Layout::kFiles, "");
  auto hub = store_->EnsureTree(snapshot.id, Layout::kHub, "main");
  auto freed = store_->Evict(snapshot.id);
  ASSERT_TRUE(freed.has_value());
  EXPECT_EQ(*freed, 4096u);
  EXPECT_FALSE(store_->FindSnapshot(snapshot.id).has_value());
  EXPECT_FALSE(BlobExists("only here"));
  EXPECT_TRUE(BlobExists("in two models"));
  EXPECT_FALSE(fs::exists(Absolute(*tree)));
  EXPECT_FALSE(fs::exists(Absolute(*hub)));
  EXPECT_TRUE(store_->FindSnapshot(other.id)->complete);
  ExpectOnlyTrueBytes(*store_);
  ExpectNoGarbage(Root());
  Reopen();
  EXPECT_EQ(store_->recovery().dropped_orphans, 0u);
}

TEST_F(EvictTest, SaysWhatAnEvictionWouldFreeAndWhatOthersShare) {
  const TestFiles files = {
      {"a", PatternBytes(5000, 1)}, {"twice", PatternBytes(5000, 1)}, {"shared", "in two models"}};
  Snapshot snapshot = FillOne(files);
  EXPECT_EQ(store_->UsageOfSnapshots().snapshots[snapshot.id].own, 3 * kBlock)
      << "a blob of two names counts once, in whole blocks";
  EXPECT_EQ(store_->UsageOfSnapshots().shared, 0u);
  Snapshot other = FillOne(kOther, 'b');
  Listing begun = ListingOf({{"c", "not here yet"}}, {.revision = std::string(40, 'c')});
  ASSERT_TRUE(store_->BeginSnapshot(begun).has_value());
  Usage usage = store_->UsageOfSnapshots();
  EXPECT_EQ(usage.snapshots[snapshot.id].own, 2 * kBlock);
  EXPECT_EQ(usage.snapshots[snapshot.id].shared, kBlock);
  EXPECT_EQ(usage.snapshots[other.id].own, kBlock);
  EXPECT_EQ(usage.snapshots[other.id].shared, kBlock);
  EXPECT_EQ(usage.snapshots[begun.SnapshotId()].own, 0u) << "what isn't here takes nothing";
  EXPECT_EQ(usage.shared, kBlock) << "each shared blob once";
  Result<Bytes> freed = store_->Evict(snapshot.id);
  ASSERT_TRUE(freed.has_value());
  EXPECT_EQ(*freed, usage.snapshots[snapshot.id].own);
}

TEST_F(EvictTest, KeepsBlobsThatAFillingSnapshotLists) {
  Snapshot snapshot = FillOne(kEvictFiles);
  Listing filling =
      ListingOf(kEvictFiles, {.origin = "s3://b", .revision = "r", .anonymous = false});
  ASSERT_TRUE(store_->BeginSnapshot(filling).has_value());
  ASSERT_TRUE(store_->Evict(snapshot.id).has_value());
  EXPECT_TRUE(BlobExists("only here"));
  Reopen();
  EXPECT_TRUE(BlobExists("only here"));
  ASSERT_TRUE(store_->Evict(filling.SnapshotId()).has_value());
  EXPECT_FALSE(BlobExists("only here"));
}

TEST_F(EvictTest, RefusesWhatIsInUseAndWhatIsUnknown) {
  Snapshot snapshot = FillOne(kEvictFiles);
  EXPECT_EQ(store_->Evict(std::string(64, '0')).error().code, Code::kNotFound);
  ASSERT_TRUE(store_->TakeLease(LeaseOn(snapshot.id, "pod")).has_value());
  auto leased = store_->Evict(snapshot.id);
  EXPECT_EQ(leased.error().code, Code::kFailedPrecondition);
  EXPECT_TRUE(leased.error().message.contains("1 lease")) << leased.error().message;
  ASSERT_TRUE(store_->DropLease(LeaseOn(snapshot.id, "pod").id).has_value());
  {
    auto hold = store_->HoldForFill(snapshot.id);
    ASSERT_TRUE(hold != nullptr);
    auto second = store_->HoldForFill(snapshot.id);
    EXPECT_EQ(store_->Evict(snapshot.id).error().code, Code::kFailedPrecondition);
  }
  EXPECT_TRUE(store_->Evict(snapshot.id).has_value());
}

TEST_F(EvictTest, EvictedModelCanBeFilledAgain) {
  Snapshot snapshot = FillOne(kEvictFiles);
  ASSERT_TRUE(store_->EnsureTree(snapshot.id, Layout::kFiles, "").has_value());
  ASSERT_TRUE(store_->Evict(snapshot.id).has_value());
  EXPECT_EQ(store_->EnsureTree(snapshot.id, Layout::kFiles, "").error().code, Code::kNotFound);
  FillOne(kEvictFiles);
  EXPECT_TRUE(store_->EnsureTree(snapshot.id, Layout::kFiles, "").has_value());
}

TEST_F(EvictTest, HoldsAndReservationsMayOutliveTheStore) {
  auto hold = store_->HoldForFill("s");
  auto reservation = store_->Reserve(4096, "s", {});
  ASSERT_TRUE(reservation.has_value());
  Close();
}

TEST_F(EvictTest, ReserveEvictsTheLeastRecentlyUsedUntilItFits) {
  options_.limit = 10 * 4096;
  Reopen();
  Snapshot first = FillOne(Sized("1", 3), '1');
  Snapshot second = FillOne(Sized("2", 3), '2');
  Snapshot third = FillOne(Sized("3", 3), '3');
  clock_.Advance(std::chrono::seconds(1));
  store_->Touch(first.id);
  auto reservation = store_->Reserve(4 * 4096, "new", {});
  ASSERT_TRUE(reservation.has_value()) << reservation.error().message;
  EXPECT_TRUE(store_->FindSnapshot(first.id).has_value());
  EXPECT_FALSE(store_->FindSnapshot(second.id).has_value());
  EXPECT_TRUE(store_->FindSnapshot(third.id).has_value());
  EXPECT_EQ(store_->Space()->reserved, 4u * 4096);
  EXPECT_EQ(store_->Space()->available, 6u * 4096);
}

TEST_F(EvictTest, ReserveNeverTakesWhatIsLeasedFillingOrItsOwn) {
  options_.limit = 10 * 4096;
  Reopen();
  Snapshot leased = FillOne(Sized("1", 3), '1');
  Snapshot filling = FillOne(Sized("2", 3), '2');
  Snapshot own = FillOne(Sized("3", 3), '3');
  ASSERT_TRUE(store_->TakeLease(LeaseOn(leased.id, "pod")).has_value());
  auto hold = store_->HoldForFill(filling.id);
  auto refused = store_->Reserve(2 * 4096, own.id, {});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(store_->Snapshots().size(), 3u);
  EXPECT_TRUE(store_->Reserve(4096, own.id, {}).has_value());
  EXPECT_EQ(store_->Snapshots().size(), 3u);
  EXPECT_TRUE(store_->Reserve(4 * 4096, "other", {}).has_value());
  EXPECT_FALSE(store_->FindSnapshot(own.id).has_value());
}

TEST_F(EvictTest, FitsASmallerLimitByWhatNobodyUsesOldestFirst) {
  Snapshot leased = FillOne(Sized("1", 3), '1');
  Snapshot oldest = FillOne(Sized("2", 3), '2');
  Snapshot filling = FillOne(Sized("3", 3), '3');
  Snapshot newest = FillOne(Sized("4", 3), '4');
  ASSERT_TRUE(store_->TakeLease(LeaseOn(leased.id, "pod")).has_value());
  auto hold = store_->HoldForFill(filling.id);
  ASSERT_TRUE(store_->SetLimits(10 * 4096, 0).has_value());
  EXPECT_EQ(store_->Snapshots().size(), 4u) << "a limit evicts nothing by itself";
  auto fit = store_->EvictToFit(FitTo::kLimit);
  ASSERT_TRUE(fit.has_value()) << fit.error().message;
  EXPECT_EQ(fit->snapshots, 1u);
  EXPECT_EQ(fit->freed, 3u * 4096);
  EXPECT_EQ(fit->excess, 0u);
  EXPECT_FALSE(store_->FindSnapshot(oldest.id).has_value());
  EXPECT_TRUE(store_->FindSnapshot(newest.id).has_value());
  EXPECT_EQ(store_->Space()->limit, 10u * 4096);
}

TEST_F(EvictTest, FitsAsFarAsWhatIsInUseAllowsAndSaysWhatIsTooMuch) {
  Snapshot leased = FillOne(Sized("1", 3), '1');
  Snapshot idle = FillOne(Sized("2", 3), '2');
  ASSERT_TRUE(store_->TakeLease(LeaseOn(leased.id, "pod")).has_value());
  ASSERT_TRUE(store_->SetLimits(4096, 0).has_value());
  EXPECT_EQ(store_->EvictToFit(FitTo::kLimit)->excess, 2u * 4096);
  EXPECT_FALSE(store_->FindSnapshot(idle.id).has_value());
  EXPECT_TRUE(store_->FindSnapshot(leased.id).has_value());
  EXPECT_EQ(store_->Space()->available, 0u);
  ASSERT_TRUE(store_->DropLease(LeaseOn(leased.id, "pod").id).has_value());
  EXPECT_EQ(store_->EvictToFit(FitTo::kLimit)->excess, 0u);
  EXPECT_TRUE(store_->Snapshots().empty());
}

TEST_F(EvictTest, FitsWithoutEvictingWhatWouldFreeNothing) {
  Snapshot leased = FillOne({{"shared", "in two models"}}, '1');
  Snapshot sharing = FillOne({{"other-name", "in two models"}}, '2');
  ASSERT_TRUE(store_->TakeLease(LeaseOn(leased.id, "pod")).has_value());
  ASSERT_TRUE(store_->SetLimits(1, 0).has_value());
  EXPECT_GT(store_->EvictToFit(FitTo::kLimit)->excess, 0u);
  EXPECT_TRUE(store_->FindSnapshot(sharing.id).has_value());
}

TEST_F(EvictTest, FitsALargerMinFreeOnlyWhenAskedTo) {
  Snapshot idle = FillOne(Sized("1", 3), '1');
  ASSERT_TRUE(store_->SetLimits(0, Bytes{1} << 60).has_value());
  EXPECT_EQ(store_->EvictToFit(FitTo::kLimit)->excess, 0u);
  EXPECT_TRUE(store_->FindSnapshot(idle.id).has_value());
  EXPECT_GT(store_->EvictToFit(FitTo::kLimitAndMinFree)->excess, 0u);
  EXPECT_FALSE(store_->FindSnapshot(idle.id).has_value());
}

TEST_F(EvictTest, APromiseOutlivesASmallerLimit) {
  auto promised = store_->Reserve(6 * 4096, "s", {});
  ASSERT_TRUE(promised.has_value());
  ASSERT_TRUE(store_->SetLimits(3 * 4096, 0).has_value());
  EXPECT_EQ(store_->EvictToFit(FitTo::kLimit)->excess, 3u * 4096);
  EXPECT_EQ(store_->Space()->reserved, 6u * 4096);
  EXPECT_EQ(store_->Reserve(4096, "t", {}).error().code, Code::kResourceExhausted);
  *promised = Reservation();
  EXPECT_TRUE(store_->Reserve(3 * 4096, "t", {}).has_value());
}

TEST_F(EvictTest, ReserveTellsNeverFromNotNow) {
  options_.limit = 10 * 4096;
  Reopen();
  auto never = store_->Reserve(11 * 4096, "s", {});
  EXPECT_EQ(never.error().code, Code::kOutOfRange);
  EXPECT_TRUE(never.error().message.contains("40.0 KiB")) << never.error().message;
  auto first = store_->Reserve(6 * 4096, "s", {});
  ASSERT_TRUE(first.has_value());
  auto second = store_->Reserve(5 * 4096, "t", {});
  EXPECT_EQ(second.error().code, Code::kResourceExhausted);
  first = Reservation();
  EXPECT_TRUE(store_->Reserve(5 * 4096, "t", {}).has_value());
  EXPECT_EQ(store_->Space()->reserved, 0u);
}

TEST_F(EvictTest, DiskThatKeepsMoreFreeThanItHasTakesNothing) {
  options_.min_free = Bytes{1} << 60;
  Reopen();
  EXPECT_EQ(store_->Reserve(4096, "s", {}).error().code, Code::kOutOfRange);
  EXPECT_EQ(store_->Space()->available, 0u);
}

TEST_F(EvictTest, LimitAndFreeSpaceHaveDefaultsFromTheDisk) {
  options_.min_free.reset();
  Reopen();
  auto space = store_->Space();
  EXPECT_EQ(space->limit, space->filesystem_total);
  EXPECT_EQ(space->min_free, space->filesystem_total / 20);
  EXPECT_GT(space->available, 0u);
}

TEST_F(EvictTest, FillIsCountedOnceFromItsPromiseToItsLease) {
  options_.limit = 100 * 4096;
  Reopen();
  TestFiles files = Sized("1", 3);
  Listing listing = ListingOf(files);
  ASSERT_TRUE(store_->BeginSnapshot(listing).has_value());
  auto reservation = store_->Reserve(3 * 4096, listing.SnapshotId(), {});
  ASSERT_TRUE(reservation.has_value());
  auto expect = [&](Bytes used, Bytes held, Bytes reserved, Bytes evictable) {
    auto space = store_->Space();
    EXPECT_EQ(space->used, used * 4096);
    EXPECT_EQ(space->held, held * 4096);
    EXPECT_EQ(space->reserved, reserved * 4096);
    EXPECT_EQ(space->evictable, evictable * 4096);
    EXPECT_EQ(space->available, (100 - held - reserved) * 4096);
  };
  expect(0, 0, 3, 0);
  {
    auto ingest = store_->StartIngest(std::string(64, '1'), Sha256Of(""), 3 * 4096);
    expect(3, 0, 3, 0);
  }
  ASSERT_TRUE(Fill(*store_, listing, files).has_value());
  expect(3, 0, 3, 0);
  ASSERT_TRUE(store_->TakeLease(LeaseOn(listing.SnapshotId(), "pod")).has_value());
  expect(3, 0, 3, 0);
  *reservation = Reservation();
  expect(3, 3, 0, 0);
  ASSERT_TRUE(store_->DropLease(LeaseOn(listing.SnapshotId(), "pod").id).has_value());
  expect(3, 0, 0, 3);
}

TEST_F(EvictTest, ReservationCoversWholeBlocksOfSmallFiles) {
  Listing listing = ListingOf({{"1", "x"}, {"2", "y"}});
  ASSERT_TRUE(store_->BeginSnapshot(listing).has_value());
  auto reservation = store_->Reserve(2, listing.SnapshotId(), {});
  EXPECT_EQ(store_->Space()->reserved, 2u * 4096);
}

TEST_F(EvictTest, SharedBlobsAreHeldOnce) {
  Snapshot snapshot = FillOne(kEvictFiles);
  Snapshot other = FillOne(kOther, 'b');
  ASSERT_TRUE(store_->TakeLease(LeaseOn(snapshot.id, "1")).has_value());
  ASSERT_TRUE(store_->TakeLease(LeaseOn(other.id, "2")).has_value());
  EXPECT_EQ(store_->Space()->held, 3u * 4096);
  ASSERT_TRUE(store_->DropLease(LeaseOn(other.id, "2").id).has_value());
  EXPECT_EQ(store_->Space()->held, 2u * 4096);
  EXPECT_EQ(store_->Space()->evictable, 4096u);
}

}  // namespace
}  // namespace weighhouse::store
