#include <filesystem>

#include "cache-daemon/store/hold_book.h"
#include "cache-daemon/store/volume_book.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

/// Fourteen blocks of limit; the model takes ten.
class HoldTest : public StoreTest {
 protected:
  HoldTest() {
    options_.limit = 14 * kBlock;
    Open();
  }
  Result<HoldRecord> Hold(const std::string& volume, const std::string& snapshot, Bytes bytes = 0) {
    return store_->TakeHold(HoldFor(volume, snapshot, bytes, clock_.Now()));
  }
  std::string Begin() { return store_->BeginSnapshot(model_).value().id; }
  Result<Reservation> ReserveFor(const std::string& snapshot, Bytes blocks) {
    return store_->Reserve(blocks * kBlock, snapshot, {});
  }
  void ExpectReserved(Bytes blocks) {
    EXPECT_EQ(store_->Space()->reserved, blocks * kBlock);
    EXPECT_EQ(store_->Space()->for_holds, blocks * kBlock);
  }

  const TestFiles files_ = {{"a", PatternBytes(6 * kBlock, 1)}, {"b", PatternBytes(4 * kBlock, 2)}};
  const Listing model_ = ListingOf(files_);
};

TEST_F(HoldTest, OfAnAbsentModelKeepsItsRoomAndItsFillUsesIt) {
  std::string id = Begin();
  auto hold = Hold("volume", id);
  ASSERT_TRUE(hold.has_value()) << hold.error().message;
  EXPECT_EQ(hold->bytes, 10 * kBlock);
  ExpectReserved(10);
  EXPECT_EQ(ReserveFor("other", 5).error().code, Code::kResourceExhausted);
  EXPECT_TRUE(ReserveFor("other", 4).has_value());
  auto fill = ReserveFor(id, 10);
  ASSERT_TRUE(fill.has_value()) << fill.error().message;
  EXPECT_EQ(store_->Space()->reserved, 10 * kBlock) << "no byte twice";
  EXPECT_EQ(store_->Space()->for_holds, 0u);
  *fill = Reservation();
  ExpectReserved(10);
}

TEST_F(HoldTest, OfAModelThatIsHereKeepsItFromEviction) {
  ASSERT_TRUE(Fill(*store_, model_, files_).has_value());
  ASSERT_TRUE(Hold("volume", model_.SnapshotId()).has_value());
  ExpectReserved(0);
  EXPECT_EQ(store_->Space()->held, 10 * kBlock);
  EXPECT_EQ(ReserveFor("other", 5).error().code, Code::kResourceExhausted);
  auto evicted = store_->Evict(model_.SnapshotId());
  EXPECT_EQ(evicted.error().code, Code::kFailedPrecondition);
  EXPECT_TRUE(evicted.error().message.contains("1 hold")) << evicted.error().message;
  ASSERT_TRUE(store_->SetLimits(kBlock, 0).has_value());
  EXPECT_EQ(store_->EvictToFit(FitTo::kLimit)->snapshots, 0u);
  ASSERT_TRUE(store_->DropHold("volume").has_value());
  EXPECT_TRUE(store_->Evict(model_.SnapshotId()).has_value());
}

TEST_F(HoldTest, TwoOnOneModelCountItOnce) {
  std::string id = Begin();
  ASSERT_TRUE(Hold("one", id).has_value());
  ASSERT_TRUE(Hold("two", id).has_value());
  ExpectReserved(10);
  ASSERT_TRUE(store_->DropHold("one").has_value());
  ExpectReserved(10);
  ASSERT_TRUE(store_->DropHold("two").has_value());
  ExpectReserved(0);
}

TEST_F(HoldTest, OfBytesGoesToTheModelThatItsVolumeArrivesFor) {
  ASSERT_TRUE(Hold("volume", "", 12 * kBlock).has_value());
  ExpectReserved(12);
  std::string id = Begin();
  EXPECT_EQ(ReserveFor(id, 10).error().code, Code::kResourceExhausted) << "another volume's";
  store_->ArriveForHold("volume", id);
  ExpectReserved(10);
  EXPECT_TRUE(ReserveFor(id, 10).has_value());
}

TEST_F(HoldTest, OfBytesPromisesNoMoreOfTheModelThanThat) {
  ASSERT_TRUE(Hold("volume", "", 4 * kBlock).has_value());
  store_->ArriveForHold("volume", Begin());
  ExpectReserved(4);
}

TEST_F(HoldTest, TheSameAgainIsTheSameAndAnythingElseIsRefused) {
  auto first = Hold("volume", "", kBlock);
  clock_.Advance(std::chrono::seconds(60));
  auto again = Hold("volume", "", kBlock);
  ASSERT_TRUE(again.has_value());
  EXPECT_LE(again->ends, first->ends) << "asking again doesn't make it longer";
  HoldRecord other = HoldFor("volume", "", kBlock, clock_.Now());
  other.request_fingerprint = "other";
  EXPECT_EQ(store_->TakeHold(other).error().code, Code::kAlreadyExists);
  EXPECT_EQ(store_->Holds().size(), 1u);
  ExpectReserved(1);
}

TEST_F(HoldTest, OfMoreThanThereIsLeavesNothing) {
  EXPECT_EQ(Hold("volume", "", 15 * kBlock).error().code, Code::kOutOfRange);
  ASSERT_TRUE(Hold("one", "", 8 * kBlock).has_value());
  auto refused = Hold("two", "", 8 * kBlock);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_TRUE(refused.error().message.contains("by holds 32.0 KiB")) << refused.error().message;
  EXPECT_EQ(NamesBelow(Root() / "holds").size(), 1u);
  ExpectReserved(8);
}

TEST_F(HoldTest, EvictsForItsRoomAtOnce) {
  ASSERT_TRUE(Fill(*store_, model_, files_).has_value());
  ASSERT_TRUE(Hold("volume", "", 5 * kBlock).has_value());
  EXPECT_FALSE(store_->FindSnapshot(model_.SnapshotId()).has_value());
}

TEST_F(HoldTest, OutlivesTheProcess) {
  std::string id = Begin();
  ASSERT_TRUE(Hold("of model", id).has_value());
  ASSERT_TRUE(Hold("of bytes", "", 2 * kBlock).has_value());
  Reopen();
  EXPECT_EQ(store_->recovery().holds, 2u);
  ExpectReserved(12);
  EXPECT_EQ(store_->FindHold("of model")->snapshot_id, id);
}

TEST_F(HoldTest, EndsAtItsTimeAndNotSooner) {
  ASSERT_TRUE(Hold("volume", "", kBlock).has_value());
  clock_.Advance(std::chrono::minutes(5));
  auto next = store_->DropEndedHolds();
  ASSERT_TRUE(next.has_value());
  EXPECT_LE(*next, std::chrono::minutes(5));
  EXPECT_GT(*next, std::chrono::minutes(4));
  EXPECT_EQ(store_->Holds().size(), 1u);
  clock_.Advance(std::chrono::minutes(5));
  EXPECT_FALSE(store_->DropEndedHolds().has_value());
  EXPECT_TRUE(store_->Holds().empty());
  EXPECT_TRUE(NamesBelow(Root() / "holds").empty());
}

TEST_F(HoldTest, EndsAtTheStartWhereItsTimeIsOver) {
  ASSERT_TRUE(Hold("volume", "", kBlock).has_value());
  Close();
  clock_.Advance(std::chrono::minutes(10));
  Open();
  EXPECT_TRUE(store_->Holds().empty());
  EXPECT_TRUE(NamesBelow(Root() / "holds").empty());
}

TEST_F(HoldTest, AClockThatIsSetChangesNoTimeoutInTheProcessAndLengthensNoneOverAStart) {
  ASSERT_TRUE(Hold("volume", "", kBlock).has_value());
  clock_.Set(std::chrono::hours(1));
  store_->DropEndedHolds();
  EXPECT_EQ(store_->Holds().size(), 1u);
  clock_.Set(-std::chrono::hours(3));
  Reopen();
  clock_.Advance(std::chrono::minutes(10));
  store_->DropEndedHolds();
  EXPECT_TRUE(store_->Holds().empty());
}

TEST_F(HoldTest, OnARecordThatIsGoneKeepsItsBytes) {
  ASSERT_TRUE(Hold("volume", Begin()).has_value());
  Close();
  std::filesystem::remove(Names().SnapshotRecord(model_.SnapshotId()));
  Open();
  ExpectReserved(10);
}

TEST_F(HoldTest, ThatCantBeWrittenIsNone) {
  filesystem_.FailAt({.operation = "SyncFile", .path = "holds/", .error_number = EIO});
  EXPECT_FALSE(Hold("volume", "", kBlock).has_value());
  ExpectReserved(0);
  EXPECT_TRUE(Hold("volume", "", kBlock).has_value());
}

TEST_F(HoldTest, AnOlderRootGetsItsDirectory) {
  Close();
  std::filesystem::remove(Root() / "holds");
  Open();
  EXPECT_TRUE(Hold("volume", "", kBlock).has_value());
}

TEST(HoldRecordTest, WhatIsNoneIsRefused) {
  HoldRecord hold = HoldFor("volume", "", kBlock, {});
  EXPECT_TRUE(ParseHold(HoldToJson(hold), VolumeKey("volume")).has_value());
  EXPECT_EQ(ParseHold(HoldToJson(hold), VolumeKey("other")).error().code, Code::kDataLoss);
  EXPECT_FALSE(ParseHold("{}", VolumeKey("volume")).has_value());
  hold.snapshot_id = "../x";
  EXPECT_FALSE(ParseHold(HoldToJson(hold), VolumeKey("volume")).has_value());
}

}  // namespace
}  // namespace weighhouse::store
