#include "cache-daemon/store/recent_evictions.h"

#include <fmt/format.h>

#include "test/cache-daemon/metrics/page_reader.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

using namespace std::chrono_literals;
using metrics::EvictionReason;

constexpr RecentEvictions::Time kStart{24h};

Digest Numbered(size_t number) { return Digest::Of(std::to_string(number)); }

TEST(RecentEvictionsTest, SaysOnceWhyABlobHadBeenEvicted) {
  RecentEvictions recent;
  recent.Add(Numbered(1), EvictionReason::kSpace, kStart);
  recent.Add(Numbered(2), EvictionReason::kLimit, kStart);
  EXPECT_EQ(recent.Take(Numbered(1), kStart + 1min), EvictionReason::kSpace);
  EXPECT_EQ(recent.Take(Numbered(1), kStart + 1min), std::nullopt);
  EXPECT_EQ(recent.Take(Numbered(2), kStart + 2min), EvictionReason::kLimit);
  EXPECT_EQ(recent.Take(Numbered(3), kStart), std::nullopt);
}

TEST(RecentEvictionsTest, AnHourLaterItIsNoLongerRecent) {
  RecentEvictions recent;
  recent.Add(Numbered(1), EvictionReason::kSpace, kStart);
  recent.Add(Numbered(2), EvictionReason::kSpace, kStart);
  EXPECT_EQ(recent.Take(Numbered(1), kStart + 1h - 1ns), EvictionReason::kSpace);
  EXPECT_EQ(recent.Take(Numbered(2), kStart + 1h), std::nullopt);
}

TEST(RecentEvictionsTest, ForgetsWhatIsAnHourOld) {
  RecentEvictions recent;
  recent.Add(Numbered(1), EvictionReason::kSpace, kStart);
  recent.Add(Numbered(2), EvictionReason::kSpace, kStart + 30min);
  recent.Add(Numbered(3), EvictionReason::kSpace, kStart + 1h);
  EXPECT_EQ(recent.size(), 2u);
}

TEST(RecentEvictionsTest, TheLastEvictionOfABlobCounts) {
  RecentEvictions recent;
  recent.Add(Numbered(1), EvictionReason::kSpace, kStart);
  recent.Add(Numbered(1), EvictionReason::kRequest, kStart + 50min);
  // The first one is an hour old and goes; the second stays.
  recent.Add(Numbered(2), EvictionReason::kSpace, kStart + 70min);
  EXPECT_EQ(recent.Take(Numbered(1), kStart + 80min), EvictionReason::kRequest);
}

TEST(RecentEvictionsTest, IsBoundedAndForgetsTheOldestFirst) {
  RecentEvictions recent;
  for (size_t number = 0; number < RecentEvictions::kMost + 10; ++number) {
    recent.Add(Numbered(number), EvictionReason::kSpace,
               kStart + std::chrono::milliseconds(number));
  }
  auto now = kStart + 10min;
  EXPECT_EQ(recent.size(), RecentEvictions::kMost);
  EXPECT_EQ(recent.Take(Numbered(9), now), std::nullopt);
  EXPECT_EQ(recent.Take(Numbered(10), now), EvictionReason::kSpace);
  // One blob over and over is bounded, too.
  for (size_t times = 0; times < RecentEvictions::kMost; ++times) {
    recent.Add(Numbered(1), EvictionReason::kSpace, now);
    recent.Take(Numbered(1), now);
  }
  EXPECT_EQ(recent.size(), RecentEvictions::kMost);
}

/// A store of ten blocks, and models of three and of eight: one goes when the other comes.
class RefetchTest : public StoreTest {
 protected:
  RefetchTest() {
    options_.limit = 10 * kBlock;
    options_.metrics = metrics::StoreMetrics(registry_);
    Open();
  }
  void FillInto(const TestFiles& files, char revision) {
    clock_.Advance(1s);
    Listing listing = ListingOf(files, {.revision = std::string(40, revision)});
    Bytes size = 0;
    for (const ListedFile& file : listing.files) size += file.size;
    auto reservation = store_->Reserve(size, listing.SnapshotId(), {});
    ASSERT_TRUE(reservation.has_value()) << reservation.error().message;
    auto snapshot = Fill(*store_, listing, files);
    ASSERT_TRUE(snapshot.has_value()) << snapshot.error().message;
  }
  std::string Refetched(const std::string& reason) const {
    return ValueOf(registry_.Page({}),
                   fmt::format("weighhouse_refetched_bytes_total{{reason=\"{}\"}}", reason))
        .value_or("absent");
  }

  const TestFiles small_ = {{"small", PatternBytes(3 * kBlock - 1, 1)}};
  const TestFiles large_ = {{"large", PatternBytes(8 * kBlock, 2)}};
  metrics::Registry registry_;
};

TEST_F(RefetchTest, CountsTheBytesOfWhatComesBackWithinAnHour) {
  FillInto(small_, 'a');
  FillInto(large_, 'b');
  EXPECT_EQ(Refetched("space"), "0");
  FillInto(small_, 'a');
  EXPECT_EQ(Refetched("space"), std::to_string(3 * kBlock - 1));
  FillInto(large_, 'b');
  EXPECT_EQ(Refetched("space"), std::to_string(11 * kBlock - 1));
  EXPECT_EQ(Refetched("limit"), "0");
  EXPECT_EQ(Refetched("request"), "0");
}

TEST_F(RefetchTest, CountsNotWhatComesBackLater) {
  FillInto(small_, 'a');
  FillInto(large_, 'b');
  clock_.Advance(1h);
  FillInto(small_, 'a');
  EXPECT_EQ(Refetched("space"), "0");
}

TEST_F(RefetchTest, SaysWhyItHadGone) {
  FillInto(small_, 'a');
  Listing listing = ListingOf(small_, {.revision = std::string(40, 'a')});
  ASSERT_TRUE(store_->Evict(listing.SnapshotId()).has_value());
  FillInto(small_, 'a');
  EXPECT_EQ(Refetched("request"), std::to_string(3 * kBlock - 1));
  ASSERT_TRUE(store_->SetLimits(kBlock, 0).has_value());
  ASSERT_TRUE(store_->EvictToFit(FitTo::kLimit).has_value());
  ASSERT_TRUE(store_->SetLimits(10 * kBlock, 0).has_value());
  FillInto(small_, 'a');
  EXPECT_EQ(Refetched("limit"), std::to_string(3 * kBlock - 1));
  EXPECT_EQ(Refetched("space"), "0");
}

TEST_F(RefetchTest, WhatAnotherModelStillHasWasNeverGone) {
  FillInto(small_, 'a');
  FillInto(small_, 'b');
  Listing listing = ListingOf(small_, {.revision = std::string(40, 'a')});
  ASSERT_TRUE(store_->Evict(listing.SnapshotId()).has_value());
  FillInto(small_, 'a');
  EXPECT_EQ(Refetched("request"), "0");
}

}  // namespace
}  // namespace weighhouse::store
