#include "cache-daemon/fill/retry.h"

#include <gtest/gtest.h>

#include "cache-daemon/fill/rate_meter.h"

namespace weighhouse::fill {
namespace {

using std::chrono::milliseconds;

constexpr RetryLimits kLimits{
    .max_attempts = 5, .backoff_start = milliseconds(500), .backoff_limit = milliseconds(3000)};
const Error kLost{.code = Code::kUnavailable, .message = "lost"};

TEST(NextDelayTest, DoublesUpToTheLimitAndThenGivesUp) {
  EXPECT_EQ(NextDelay(kLost, 1, kLimits, 1.0), milliseconds(500));
  EXPECT_EQ(NextDelay(kLost, 2, kLimits, 1.0), milliseconds(1000));
  EXPECT_EQ(NextDelay(kLost, 3, kLimits, 1.0), milliseconds(2000));
  EXPECT_EQ(NextDelay(kLost, 4, kLimits, 1.0), milliseconds(3000));
  EXPECT_EQ(NextDelay(kLost, 5, kLimits, 1.0), std::nullopt);
}

TEST(NextDelayTest, IsScaledByTheJitter) {
  EXPECT_EQ(NextDelay(kLost, 1, kLimits, 0.5), milliseconds(250));
}

TEST(NextDelayTest, WaitsAsLongAsTheServerAsks) {
  Error busy = kLost;
  busy.retry_after = milliseconds(12000);
  EXPECT_EQ(NextDelay(busy, 1, kLimits, 1.0), milliseconds(12000));
  busy.retry_after = milliseconds(1);
  EXPECT_EQ(NextDelay(busy, 1, kLimits, 1.0), milliseconds(500));
  busy.retry_after = std::chrono::hours(24);
  EXPECT_EQ(NextDelay(busy, 1, kLimits, 1.0), std::chrono::minutes(10));
}

TEST(NextDelayTest, DoesNotRetryWhatWillNotMend) {
  EXPECT_EQ(NextDelay({.code = Code::kNotFound, .message = "gone"}, 1, kLimits, 1.0), std::nullopt);
}

TEST(NextDelayTest, SurvivesManyFailures) {
  RetryLimits patient = kLimits;
  patient.max_attempts = 1000;
  EXPECT_EQ(NextDelay(kLost, 999, patient, 1.0), milliseconds(3000));
}

TEST(RateMeterTest, MeasuresOverItsWindow) {
  RateMeter meter;
  std::chrono::steady_clock::time_point start{};
  EXPECT_EQ(meter.Sample(start, 0), 0);
  EXPECT_DOUBLE_EQ(meter.Sample(start + std::chrono::seconds(1), 100), 100);
  for (int second = 2; second <= 20; ++second) {
    meter.Sample(start + std::chrono::seconds(second), 100);
  }
  EXPECT_DOUBLE_EQ(meter.Sample(start + std::chrono::seconds(21), 100), 0);
}

TEST(RateMeterTest, StartsAnewWhenTheTotalGoesBack) {
  RateMeter meter;
  std::chrono::steady_clock::time_point start{};
  meter.Sample(start, 1000);
  EXPECT_EQ(meter.Sample(start + std::chrono::seconds(1), 10), 0);
}

}  // namespace
}  // namespace weighhouse::fill
