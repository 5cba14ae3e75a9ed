// What FitOf says of a listing, and that taking a hold finds it so.

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

/// Sixteen blocks of limit; the model takes ten, in two files.
class FitTest : public StoreTest {
 protected:
  FitTest() {
    options_.limit = 16 * kBlock;
    Open();
  }
  /// What FitOf says; the hold that is tried afterwards, and dropped, must find the same.
  ListingFit Fit(const Listing& listing) {
    ListingFit fit = store_->FitOf(listing).value();
    Snapshot snapshot = store_->BeginSnapshot(listing).value();
    auto hold = store_->TakeHold(HoldFor("volume", snapshot.id, 0, clock_.Now()));
    EXPECT_EQ(hold.has_value(), fit.fits) << (hold ? "taken" : hold.error().message);
    EXPECT_TRUE(store_->DropHold("volume").has_value());
    return fit;
  }
  /// Another model that takes `blocks`, and stays.
  void Lease(Bytes blocks) {
    TestFiles files = {{"leased", PatternBytes(blocks * kBlock, 7)}};
    std::string id = Fill(*store_, ListingOf(files, {.origin = "other"}), files)->id;
    ASSERT_TRUE(store_->TakeLease(LeaseOn(id, "pod")).has_value());
  }

  const TestFiles files_ = {{"a", PatternBytes(6 * kBlock, 1)}, {"b", PatternBytes(4 * kBlock, 2)}};
  const Listing model_ = ListingOf(files_);
};

TEST_F(FitTest, OfAnAbsentModel) {
  ListingFit fit = Fit(model_);
  EXPECT_TRUE(fit.fits);
  EXPECT_FALSE(fit.cached);
  EXPECT_EQ(fit.bytes, 10 * kBlock);
  EXPECT_EQ(fit.missing, 10 * kBlock);
}

TEST_F(FitTest, OfACachedModelThoughNothingElseFits) {
  ASSERT_TRUE(Fill(*store_, model_, files_).has_value());
  Lease(6);
  ListingFit fit = Fit(model_);
  EXPECT_TRUE(fit.fits);
  EXPECT_TRUE(fit.cached);
  EXPECT_EQ(fit.missing, 0u);
}

TEST_F(FitTest, OfAHalfCachedModelItsOwnBytesMakeNoRoom) {
  Snapshot snapshot = store_->BeginSnapshot(model_).value();
  ASSERT_TRUE(Put(*store_, snapshot.id, Sha256Of(files_.at("a")), files_.at("a")).has_value());
  Lease(7);
  // Nine blocks are free of leases, six of them the model's own: four are missing, three left.
  ListingFit fit = Fit(model_);
  EXPECT_FALSE(fit.fits);
  EXPECT_EQ(fit.missing, 4 * kBlock);
}

TEST_F(FitTest, OfAHalfCachedModelThatFits) {
  Snapshot snapshot = store_->BeginSnapshot(model_).value();
  ASSERT_TRUE(Put(*store_, snapshot.id, Sha256Of(files_.at("a")), files_.at("a")).has_value());
  Lease(6);
  EXPECT_TRUE(Fit(model_).fits);
}

TEST_F(FitTest, OfTheNextRevisionWhatTheLastOneBroughtMakesNoRoom) {
  ASSERT_TRUE(Fill(*store_, model_, files_).has_value());
  TestFiles more = files_;
  more["c"] = PatternBytes(4 * kBlock, 3);
  Listing next = ListingOf(more, {.revision = std::string(40, 'b')});
  EXPECT_EQ(Fit(next).missing, 4 * kBlock);
  Lease(3);
  // Thirteen are not leased, but ten of them are a part of it.
  EXPECT_FALSE(Fit(next).fits);
}

TEST_F(FitTest, OfARevisionThatHasNothingNewNothingIsMissing) {
  ASSERT_TRUE(Fill(*store_, model_, files_).has_value());
  ListingFit fit = Fit(ListingOf(files_, {.revision = std::string(40, 'b')}));
  EXPECT_TRUE(fit.cached);
}

TEST_F(FitTest, OfAPrivateOriginWhatOthersBroughtIsMissing) {
  ASSERT_TRUE(Fill(*store_, ListingOf(files_, {.origin = "private", .anonymous = false}), files_)
                  .has_value());
  EXPECT_EQ(Fit(ListingOf(files_, {.origin = "other"})).missing, 10 * kBlock);
}

TEST_F(FitTest, OnlyAfterAnEviction) {
  TestFiles idle = {{"idle", PatternBytes(12 * kBlock, 5)}};
  ASSERT_TRUE(Fill(*store_, ListingOf(idle, {.origin = "other"}), idle).has_value());
  EXPECT_TRUE(Fit(model_).fits);
}

TEST_F(FitTest, NotNow) {
  Lease(7);
  EXPECT_FALSE(Fit(model_).fits);
}

TEST_F(FitTest, Never) {
  ASSERT_TRUE(store_->SetLimits(9 * kBlock, 0).has_value());
  EXPECT_FALSE(Fit(model_).fits);
}

TEST_F(FitTest, WhatItsFillWasPromisedIsNotNeededAgain) {
  Snapshot snapshot = store_->BeginSnapshot(model_).value();
  auto promised = store_->Reserve(10 * kBlock, snapshot.id, {});
  ASSERT_TRUE(promised.has_value());
  ASSERT_TRUE(store_->TakeHold(HoldFor("other", "", 6 * kBlock, clock_.Now())).has_value());
  ListingFit fit = store_->FitOf(model_).value();
  EXPECT_TRUE(fit.fits);
  EXPECT_EQ(fit.missing, 10 * kBlock);
}

TEST_F(FitTest, LeavesNothing) {
  ASSERT_TRUE(store_->FitOf(model_).has_value());
  EXPECT_TRUE(store_->Snapshots().empty());
  EXPECT_EQ(store_->Space()->reserved, 0u);
}

}  // namespace
}  // namespace weighhouse::store
