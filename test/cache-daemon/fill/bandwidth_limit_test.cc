#include "cache-daemon/fill/bandwidth_limit.h"

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "test/cache-daemon/fill/simulated_network.h"

namespace weighhouse::fill {
namespace {

using namespace std::chrono_literals;

constexpr Bytes kRate = 10 * kMiB;
constexpr Bytes kPiece = 16 * kKiB;

TEST(TokenBucketTest, HoldsTheRateWhateverThePiecesSizes) {
  for (Bytes piece : {Bytes{100}, kPiece, kMiB}) {
    ManualClock clock;
    TokenBucket bucket(kRate, clock.Steady());
    Bytes taken = 0;
    for (int i = 0; i < 10'000; ++i) {
      for (; bucket.Ready(clock.Steady()); taken += piece) bucket.Take(piece);
      clock.Advance(1ms);
    }
    EXPECT_NEAR(static_cast<double>(taken), 10.0 * kRate, 1.0 * kMiB + kRate / 100.0) << piece;
  }
}

TEST(TokenBucketTest, KeepsATenthOfASecondOfWhatWasNotUsed) {
  ManualClock clock;
  TokenBucket bucket(kRate, clock.Steady());
  EXPECT_FALSE(bucket.Ready(clock.Steady()));
  clock.Advance(10s);
  Bytes taken = 0;
  for (; bucket.Ready(clock.Steady()); taken += kPiece) bucket.Take(kPiece);
  EXPECT_NEAR(static_cast<double>(taken), kRate / 10.0, kPiece);
}

TEST(TokenBucketTest, SaysHowLongACreditLasts) {
  ManualClock clock;
  TokenBucket bucket(kRate, clock.Steady());
  clock.Advance(1ms);
  ASSERT_TRUE(bucket.Ready(clock.Steady()));
  bucket.Take(kRate);
  EXPECT_NEAR(static_cast<double>(bucket.UntilReady(clock.Steady()).count()), 1000, 2);
  clock.Advance(bucket.UntilReady(clock.Steady()));
  EXPECT_EQ(bucket.UntilReady(clock.Steady()), 0ms);
}

/// Files that offer pieces whenever they may, and a limit over them.
class BandwidthLimitTest : public testing::Test {
 protected:
  struct File final : BandwidthUser {
    File(BandwidthLimitTest& its_test, std::string its_fill, FillPriority its_priority,
         Bytes its_speed)
        : test(its_test), fill(std::move(its_fill)), priority(its_priority), speed(its_speed) {}
    void OnBandwidth() override {
      paused = false;
      Offer();
    }
    void Offer() {
      if (gone) return;
      while (!paused && at_hand >= kPiece) {
        BandwidthLimit::Claim claim{.fill = fill, .priority = priority};
        paused = !test.limit_.MayTake(*this, claim);
        if (paused) return;
        test.limit_.Took(*this, claim, kPiece);
        at_hand -= kPiece;
        taken += kPiece;
      }
    }
    BandwidthLimitTest& test;
    const std::string fill;
    const FillPriority priority;
    const Bytes speed;
    Bytes at_hand = 0;
    Bytes taken = 0;
    bool paused = false;
    bool gone = false;
  };
  File& Add(const std::string& fill, FillPriority priority = FillPriority::kWaitedFor,
            Bytes speed = kGiB) {
    return *files_.emplace_back(std::make_unique<File>(*this, fill, priority, speed));
  }
  void Run(std::chrono::milliseconds time) {
    for (auto end = clock_.Steady() + time; clock_.Steady() < end; clock_.Advance(1ms)) {
      if (due_ && clock_.Steady() >= *due_) {
        due_.reset();
        limit_.Offer();
      }
      for (auto& file : files_) {
        file->at_hand = std::min<Bytes>(file->at_hand + file->speed / 1000, 4 * kMiB);
        file->Offer();
      }
    }
  }
  static double PartOf(const File& file, std::chrono::duration<double> time) {
    return static_cast<double>(file.taken) / (time.count() * static_cast<double>(kRate));
  }

  ManualClock clock_;
  std::optional<std::chrono::steady_clock::time_point> due_;
  BandwidthLimit limit_{
      kRate, clock_, [this](std::chrono::milliseconds delay) { due_ = clock_.Steady() + delay; }};
  std::vector<std::unique_ptr<File>> files_;
};

TEST_F(BandwidthLimitTest, HoldsTheRateOfOneFile) {
  File& file = Add("fill");
  Run(5s);
  EXPECT_NEAR(PartOf(file, 5s), 1, 0.03);
}

TEST_F(BandwidthLimitTest, HoldsAnotherRateFromThenOn) {
  File& file = Add("fill");
  Run(1s);
  limit_.SetRate(kRate / 4);
  file.taken = 0;
  Run(5s);
  EXPECT_NEAR(PartOf(file, 5s), 0.25, 0.03);
  limit_.SetRate(kRate);
  file.taken = 0;
  Run(5s);
  EXPECT_NEAR(PartOf(file, 5s), 1, 0.03);
}

TEST_F(BandwidthLimitTest, LetsThoseWhoWaitGoWhereTheLimitGoes) {
  limit_.SetRate(kPiece / 16);
  File& file = Add("fill");
  Run(2s);
  ASSERT_TRUE(file.paused) << "a piece on credit lasts a quarter of a minute";
  limit_.SetRate(0);
  file.taken = 0;
  Run(1s);
  EXPECT_GT(PartOf(file, 1s), 50);
  limit_.SetRate(kRate);
  file.taken = 0;
  Run(5s);
  EXPECT_NEAR(PartOf(file, 5s), 1, 0.03) << "what wasn't limited is not owed";
}

TEST_F(BandwidthLimitTest, SharesEquallyBetweenFillsWhateverTheirFiles) {
  File& alone = Add("one");
  for (int i = 0; i < 5; ++i) Add("two");
  Run(5s);
  EXPECT_NEAR(PartOf(alone, 5s), 0.5, 0.05);
  for (size_t i = 1; i < files_.size(); ++i) EXPECT_NEAR(PartOf(*files_[i], 5s), 0.1, 0.03);
}

TEST_F(BandwidthLimitTest, LetsAFillThatIsWaitedForGoBeforeAPrefetchThatDoesNotStarve) {
  File& prefetch = Add("prefetch", FillPriority::kPrefetch);
  Run(5s);
  EXPECT_NEAR(PartOf(prefetch, 5s), 1, 0.03) << "alone it has all";
  prefetch.taken = 0;
  File& waited = Add("waited");
  Run(5s);
  EXPECT_GT(PartOf(waited, 5s), 0.8);
  EXPECT_GT(PartOf(prefetch, 5s), 0.05);
}

TEST_F(BandwidthLimitTest, GivesWhatASlowOneDoesNotUseToTheOthers) {
  File& slow = Add("slow", FillPriority::kWaitedFor, kRate / 20);
  File& fast = Add("fast");
  Run(10s);
  EXPECT_NEAR(PartOf(slow, 10s), 0.05, 0.01);
  EXPECT_NEAR(PartOf(fast, 10s), 0.95, 0.04);
}

TEST_F(BandwidthLimitTest, CallsAFileOneOfWhoseConnectionsWasRefusedThoughAnotherTookSince) {
  File& file = Add("fill");
  file.paused = true;
  BandwidthLimit::Claim claim{.fill = file.fill, .priority = file.priority};
  EXPECT_FALSE(limit_.MayTake(file, claim)) << "a bucket begins empty";
  clock_.Advance(1ms);
  ASSERT_TRUE(limit_.MayTake(file, claim));
  limit_.Took(file, claim, 1);
  Run(20ms);
  EXPECT_GT(file.taken, 0U) << "it was called";
}

TEST_F(BandwidthLimitTest, WaitsForNobodyWhoLeftOrWantsNothingMore) {
  File& behind = Add("behind");
  File& leaving = Add("leaving");
  File& goes_on = Add("goes-on", FillPriority::kPrefetch);
  Run(1s);
  behind.gone = true;
  leaving.gone = true;
  limit_.Leave(leaving);
  goes_on.taken = 0;
  Run(5s);
  EXPECT_GT(PartOf(goes_on, 5s), 0.95);
}

TEST(HostPaceTest, DoesNotGrowOrTryOthersWhereOurOwnLimitDecides) {
  SimulatedNetwork network({});
  auto& file = network.Add("fill");
  for (int i = 0; i < 300; ++i) {
    network.governor.OnLimited(file);
    network.Run(100ms);
  }
  EXPECT_EQ(network.allowance(), 4U);
  network.Run(20s);
  EXPECT_GE(network.allowance(), 8U) << "without the limit it grows again";
}

}  // namespace
}  // namespace weighhouse::fill
