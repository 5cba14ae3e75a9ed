#include "cache-daemon/engine/scrubber.h"

#include <cerrno>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "cache-daemon/engine/read_pace.h"
#include "test/cache-daemon/engine/manual_clock.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using store::TestFiles;

constexpr size_t kBlobs = 8;
constexpr Bytes kBlobSize = 4096;

/// A store with eight blobs of a block each, and a scrub on time that the test moves.
class ScrubberTest : public store::StoreTest {
 protected:
  ScrubberTest() {
    Open();
    for (size_t i = 0; i < kBlobs; ++i) {
      files_[fmt::format("file-{}", i)] = PatternBytes(kBlobSize, static_cast<unsigned>(i + 1));
    }
    id_ = store::Fill(*store_, store::ListingOf(files_), files_)->id;
  }

  void MakeScrubber() {
    verifier_ = std::make_unique<Verifier>(
        *store_, time_, metrics::IntegrityMetrics(),
        [this](const auto& ids) { refilled_.insert(ids.begin(), ids.end()); });
    Scrubber::Parts parts{.store = *store_,
                          .verifier = *verifier_,
                          .clock = time_,
                          .busy = [this] { return time_.Steady() < busy_until_; },
                          .wait = [this](auto duration) { return Wait(duration); }};
    scrubber_ = std::make_unique<Scrubber>(options_, std::move(parts));
  }
  /// Runs the scrub for so long, and stops it as the end of the process does.
  void RunFor(std::chrono::nanoseconds time) {
    end_ = time_.Steady() + time;
    scrubber_->Run();
  }
  bool Wait(std::chrono::nanoseconds duration) {
    // So that a scrub that never waits ends too.
    time_.Advance(std::max<std::chrono::nanoseconds>(duration, 1us));
    return time_.Steady() < end_;
  }
  uint64_t BlobsRead() const { return verifier_->Counters().blobs_verified; }
  void Rot(const std::string& content) {
    std::string blob = Names().Blob(Digest::Of(content));
    fs::remove(blob);
    WriteTestFile(blob, "rot");
    fs::permissions(blob, fs::perms(0444));
  }
  void Restart() {
    scrubber_.reset();
    Reopen();
    MakeScrubber();
  }

  ManualClock time_;
  ScrubOptions options_{.daily_bytes = kGiB};
  TestFiles files_;
  std::string id_;
  std::chrono::steady_clock::time_point busy_until_, end_;
  std::set<std::string> refilled_;
  std::unique_ptr<Verifier> verifier_;
  std::unique_ptr<Scrubber> scrubber_;
};

TEST_F(ScrubberTest, ReadsEveryBlobOnceADay) {
  MakeScrubber();
  RunFor(1h);
  EXPECT_EQ(BlobsRead(), kBlobs);
  EXPECT_LT(scrubber_->View().last_pass, time_.Now() - 59min) << "without a limit it is quick";
  EXPECT_EQ(scrubber_->View().bytes_today, kBlobs * kBlobSize);
  RunFor(22h);
  EXPECT_EQ(BlobsRead(), kBlobs);
  RunFor(2h);
  EXPECT_EQ(BlobsRead(), 2 * kBlobs);
  EXPECT_EQ(scrubber_->View().failures, 0U);
}

TEST_F(ScrubberTest, KeepsItsBudgetOverDaysAndReadsEachBlobBeforeOneAgain) {
  options_.daily_bytes = 3 * kBlobSize;
  MakeScrubber();
  for (uint64_t day = 1; day <= 8; ++day) {
    RunFor(24h);
    // The days of the clock don't begin when the scrub does.
    EXPECT_LE(BlobsRead(), 3 * (day + 1));
    EXPECT_GE(BlobsRead(), 3 * (day - 1));
    EXPECT_EQ(scrubber_->View().last_pass.time_since_epoch().count() > 0, BlobsRead() >= kBlobs);
  }
}

TEST_F(ScrubberTest, WhatABlobTakesBeyondTheBudgetIsTakenFromTheNextDays) {
  options_.daily_bytes = kBlobSize / 2;
  MakeScrubber();
  RunFor(24h * 8);
  EXPECT_GE(BlobsRead(), 4U);
  EXPECT_LE(BlobsRead(), 5U);
}

TEST_F(ScrubberTest, GoesOnAfterARestartWhereItWas) {
  options_.daily_bytes = 5 * kBlobSize;
  MakeScrubber();
  RunFor(1min);
  EXPECT_EQ(BlobsRead(), 5U);
  Restart();
  EXPECT_EQ(scrubber_->View().bytes_today, 5 * kBlobSize);
  RunFor(1min);
  EXPECT_EQ(BlobsRead(), 0U) << "the day's budget is used";
  RunFor(20h);
  EXPECT_EQ(BlobsRead(), 3U) << "the rest of the pass";
  EXPECT_GT(scrubber_->View().last_pass.time_since_epoch().count(), 0);
}

TEST_F(ScrubberTest, BeginsAnewWhereItsStateIsDamaged) {
  MakeScrubber();
  RunFor(1min);
  WriteTestFile(Root() / "scrub", "{\"position\": 7");
  Restart();
  RunFor(1min);
  EXPECT_EQ(BlobsRead(), kBlobs);
}

TEST_F(ScrubberTest, WaitsWhileAnythingIsFilled) {
  MakeScrubber();
  busy_until_ = time_.Steady() + 1h;
  RunFor(59min);
  EXPECT_EQ(BlobsRead(), 0U);
  RunFor(2min);
  EXPECT_EQ(BlobsRead(), kBlobs);
}

TEST_F(ScrubberTest, HoldsItsRate) {
  options_.bytes_per_second = kBlobSize;
  MakeScrubber();
  RunFor(4s);
  EXPECT_LE(verifier_->Counters().bytes_verified, 5 * kBlobSize);
  EXPECT_GE(verifier_->Counters().bytes_verified, 3 * kBlobSize);
}

TEST_F(ScrubberTest, AClockThatIsSetBackDoesNotStopIt) {
  options_.daily_bytes = kBlobs * kBlobSize;
  MakeScrubber();
  RunFor(1min);
  time_.Set(-24h * 365);
  RunFor(1h);
  EXPECT_EQ(BlobsRead(), 2 * kBlobs);
}

TEST_F(ScrubberTest, BadBlobIsCountedOverRestartsAndItsModelFilledAgain) {
  Rot(files_.at("file-3"));
  MakeScrubber();
  RunFor(1min);
  EXPECT_EQ(BlobsRead(), kBlobs);
  EXPECT_EQ(verifier_->Counters().blobs_bad, 1U);
  EXPECT_EQ(refilled_, std::set<std::string>{id_});
  EXPECT_FALSE(store_->FindSnapshot(id_)->complete);
  EXPECT_EQ(store_->Quarantined().blobs, 1U);
  Restart();
  EXPECT_EQ(scrubber_->View().failures, 1U);
}

TEST_F(ScrubberTest, BadBlobsThatCantBePutAwayAreCountedAndTheNextOnesRead) {
  Rot(files_.at("file-3"));
  Rot(files_.at("file-5"));
  filesystem_.FailAt({.operation = "Rename",
                      .path = "quarantine",
                      .times = io::Fault::kForever,
                      .error_number = EROFS});
  MakeScrubber();
  std::vector<std::string> found;
  auto sums = verifier_->Verify({},
                                {.on_finding =
                                     [&](const VerifyFinding& finding) {
                                       found.push_back(finding.found);
                                       return true;
                                     }},
                                {});
  ASSERT_TRUE(sums) << sums.error().message;
  EXPECT_EQ(sums->blobs, kBlobs);
  EXPECT_EQ(sums->bad, 2U);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_TRUE(found[0].contains("served still")) << found[0];
  EXPECT_TRUE(refilled_.empty()) << "nothing lacks";
}

TEST(ReadPaceTest, PaysForEachPieceAndSavesNothingUp) {
  ManualClock clock;
  std::chrono::nanoseconds waited{0};
  ReadPace pace(100, clock, [&](auto duration) {
    waited += duration;
    clock.Advance(duration);
    return true;
  });
  EXPECT_TRUE(pace.After(50));
  EXPECT_EQ(waited, 500ms);
  clock.Advance(200ms);  // a slow disk's read is a part of it
  EXPECT_TRUE(pace.After(50));
  EXPECT_EQ(waited, 800ms);
  clock.Advance(1h);
  EXPECT_TRUE(pace.After(50));
  EXPECT_EQ(waited, 800ms);
  EXPECT_TRUE(pace.After(50));
  EXPECT_EQ(waited, 1300ms);
}

TEST(ReadPaceTest, WithoutALimitItOnlyAsksWhetherToStop) {
  ManualClock clock;
  int asked = 0;
  ReadPace pace(0, clock, [&](auto duration) {
    EXPECT_EQ(duration, 0ns);
    return ++asked < 2;
  });
  EXPECT_TRUE(pace.After(kGiB));
  EXPECT_FALSE(pace.After(kGiB));
}

}  // namespace
}  // namespace weighhouse
