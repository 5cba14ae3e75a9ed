#include "test/cache-daemon/store/resume_fixture.h"

namespace weighhouse::store {
namespace {

/// Fourteen blocks of limit; the model's ingest has all of its ten.
class ResumeSpaceTest : public ResumeTest {
 protected:
  ResumeSpaceTest() {
    options_.limit = 14 * kBlock;
    StartAndRecord();
    Reopen();
  }
  void ExpectSums(Bytes used, Bytes held, Bytes reserved, Bytes evictable) {
    auto space = store_->Space();
    EXPECT_EQ(space->used, used * kBlock);
    EXPECT_EQ(space->held, held * kBlock);
    EXPECT_EQ(space->reserved, reserved * kBlock);
    EXPECT_EQ(space->evictable, evictable * kBlock);
    EXPECT_EQ(space->available, (14 - held - reserved) * kBlock);
  }
  Result<Reservation> ReserveForModel() {
    return store_->Reserve(kContent.size(), kModel.SnapshotId(), {id_});
  }
};

TEST_F(ResumeSpaceTest, ResumedIngestIsAPartOfItsReservation) {
  ExpectSums(10, 0, 0, 10);
  auto reservation = ReserveForModel();
  ASSERT_TRUE(reservation.has_value()) << reservation.error().message;
  EXPECT_EQ(Left().size(), 3u) << "it made no room for itself at its own cost";
  ExpectSums(10, 0, 10, 0);
  auto ingest = Start();
  EXPECT_FALSE(ingest->resumed().empty());
  ExpectSums(10, 0, 10, 0);
  ingest.reset();
  ExpectSums(10, 0, 10, 0);
  EXPECT_EQ(store_->Reserve(5 * kBlock, "other", {}).error().code, Code::kResourceExhausted);
  EXPECT_TRUE(store_->Reserve(4 * kBlock, "other", {}).has_value());
  *reservation = Reservation();
  ExpectSums(10, 0, 0, 10);
}

TEST_F(ResumeSpaceTest, WhatAFillWillNotGoOnWithIsNoPartOfItsReservation) {
  const std::set<std::string> others = {
      Digest::Of("the same file, staged by another origin").Hex()};
  auto reservation = store_->Reserve(kContent.size(), kModel.SnapshotId(), others);
  ASSERT_TRUE(reservation.has_value()) << reservation.error().message;
  EXPECT_TRUE(Left().empty()) << "there is no room for the file twice";
  ExpectSums(0, 0, 10, 0);
}

TEST_F(ResumeSpaceTest, StagedBytesGoBeforeIdleSnapshots) {
  TestFiles files = {{"a", PatternBytes(3 * kBlock, 1)}};
  ASSERT_TRUE(Fill(*store_, ListingOf(files), files).has_value());
  auto reservation = store_->Reserve(5 * kBlock, "other", {});
  ASSERT_TRUE(reservation.has_value()) << reservation.error().message;
  EXPECT_TRUE(Left().empty());
  EXPECT_TRUE(store_->FindSnapshot(ListingOf(files).SnapshotId()).has_value());
  ExpectSums(3, 0, 5, 3);
}

TEST_F(ResumeSpaceTest, StagedBytesAndSnapshotsGoTogetherWhereBothAreNeeded) {
  TestFiles files = {{"a", PatternBytes(3 * kBlock, 1)}};
  ASSERT_TRUE(Fill(*store_, ListingOf(files), files).has_value());
  ASSERT_TRUE(store_->Reserve(14 * kBlock, "other", {}).has_value());
  EXPECT_TRUE(Left().empty());
  EXPECT_FALSE(store_->FindSnapshot(ListingOf(files).SnapshotId()).has_value());
}

TEST_F(ResumeSpaceTest, StagedBytesGoFirstWhereALimitBecomesSmaller) {
  TestFiles files = {{"a", PatternBytes(3 * kBlock, 1)}};
  ASSERT_TRUE(Fill(*store_, ListingOf(files), files).has_value());
  ASSERT_TRUE(store_->SetLimits(12 * kBlock, 0).has_value());
  auto fit = store_->EvictToFit(FitTo::kLimit);
  ASSERT_TRUE(fit.has_value()) << fit.error().message;
  EXPECT_EQ(fit->ingests, 1u);
  EXPECT_EQ(fit->snapshots, 0u);
  EXPECT_EQ(fit->freed, 10 * kBlock);
  EXPECT_TRUE(Left().empty());
  EXPECT_TRUE(store_->FindSnapshot(ListingOf(files).SnapshotId()).has_value());
}

TEST_F(ResumeSpaceTest, StagedBytesThatCantBeGivenUpAreAnErrorAndStay) {
  filesystem_.FailAt({.operation = "Unlink", .path = "ingests/", .error_number = EIO});
  EXPECT_FALSE(store_->Reserve(14 * kBlock, "other", {}).has_value());
  EXPECT_TRUE(store_->Reserve(14 * kBlock, "other", {}).has_value());
  EXPECT_TRUE(Left().empty());
}

TEST_F(ResumeSpaceTest, GoWithTheirSnapshot) {
  EXPECT_EQ(store_->Evict(kModel.SnapshotId()).value(), 10 * kBlock);
  EXPECT_TRUE(Left().empty());
  ExpectSums(0, 0, 0, 0);
}

}  // namespace
}  // namespace weighhouse::store
