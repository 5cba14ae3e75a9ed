#include "cache-daemon/fill/least_rate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::fill {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class LeastRateTest : public testing::Test {
 protected:
  /// A look after `step`, in which so many bytes came.
  bool TooSlow(std::chrono::milliseconds step, Bytes came, bool wanted = true) {
    now_ += step;
    brought_ += came;
    error_ = rate_.Look(now_, brought_, wanted, silence_);
    return error_.has_value();
  }
  /// For how long it bears `came` bytes each `step`; an hour: for ever.
  std::chrono::milliseconds Bears(std::chrono::milliseconds step, Bytes came, bool wanted = true) {
    for (std::chrono::milliseconds borne = step; borne < 1h; borne += step) {
      if (TooSlow(step, came, wanted)) return borne;
    }
    return 1h;
  }

  LeastRate rate_;
  LeastRate::Time now_{};
  Bytes brought_ = 0;
  std::chrono::milliseconds silence_ = 30s;
  std::optional<Error> error_;
};

TEST_F(LeastRateTest, AMebibyteAMinuteIsEnoughAndLessIsNot) {
  EXPECT_EQ(Bears(100ms, kMiB / 600 + 1), 1h);
  EXPECT_LE(Bears(100ms, kMiB / 660), 130s) << "the minute under way, and one more";
}

TEST_F(LeastRateTest, SaysTheRateAndTheWayOut) {
  EXPECT_FALSE(TooSlow(100ms, 100));
  EXPECT_EQ(Bears(100ms, 100), 60s);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, Code::kUnavailable);
  EXPECT_THAT(error_->message, HasSubstr("brought 58.7 KiB in 1 min"));
  EXPECT_THAT(error_->message, HasSubstr("less than 1.0 MiB"));
  EXPECT_THAT(error_->message, HasSubstr("fill.stallTimeout"));
}

TEST_F(LeastRateTest, AByteNowAndThenIsNoRate) {
  // A connection that brings a byte each 29 s never stalls.
  std::chrono::milliseconds borne = 0ms;
  bool too_slow = false;
  while (!too_slow && borne < 1h) {
    borne += 100ms;
    too_slow = TooSlow(100ms, borne % 29s == 0ms ? 1 : 0);
  }
  EXPECT_LE(borne, 100s);
}

TEST_F(LeastRateTest, WaitsForTheFirstByteAsTheStallTimeoutDoes) {
  EXPECT_EQ(Bears(100ms, 0), 1h);
  EXPECT_FALSE(TooSlow(100ms, 1));
  EXPECT_LE(Bears(1s, 1), 60s);
}

TEST_F(LeastRateTest, OnlyTimeInWhichBytesWereWantedCounts) {
  EXPECT_FALSE(TooSlow(100ms, 1));
  EXPECT_EQ(Bears(100ms, 1, false), 1h);
  EXPECT_EQ(Bears(100ms, 1), 60s);
}

TEST_F(LeastRateTest, ASilenceIsTheStallTimeoutsMatter) {
  // Ends and tries follow from it; the next byte begins anew.
  EXPECT_FALSE(TooSlow(1s, 1000));
  for (int second = 0; second < 300; ++second) ASSERT_FALSE(TooSlow(1s, 0)) << second;
  EXPECT_EQ(Bears(1s, 1), 60s) << "with the first byte after it";
}

TEST_F(LeastRateTest, WhereSilencesMayBeLongerSoMayAMebibyteTake) {
  silence_ = 5min;
  EXPECT_EQ(Bears(1s, 2000), 1h) << "1.1 MiB in ten minutes";
  EXPECT_LE(Bears(1s, 1700), 20min);
}

TEST_F(LeastRateTest, ASleepOfThisProcessIsNotTheSourcesSlowness) {
  EXPECT_FALSE(TooSlow(1s, 1));
  EXPECT_FALSE(TooSlow(10min, 1)) << "it was stopped";
  EXPECT_FALSE(TooSlow(10min, 1));
  EXPECT_LE(Bears(1s, 1), 60s);
}

TEST_F(LeastRateTest, AnotherSourceBeginsAnew) {
  for (int second = 0; second < 59; ++second) ASSERT_FALSE(TooSlow(1s, 1));
  rate_.Restart();
  EXPECT_GE(Bears(1s, 1), 60s);
}

}  // namespace
}  // namespace weighhouse::fill
