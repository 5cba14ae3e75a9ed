#include "base/log_limits.h"

#include <gtest/gtest.h>

namespace weighhouse {
namespace {

using namespace std::chrono_literals;

constexpr LogLimits::Time kStart{1h};

size_t Passed(LogLimits& limits, const std::string& kind, size_t lines, LogLimits::Time now,
              size_t most = LogLimits::kRepeated) {
  size_t passed = 0;
  for (size_t i = 0; i < lines; ++i) {
    passed +=
        limits.Admit(kind, most, LogLevel::kWarning, "line " + std::to_string(i), now) ? 1 : 0;
  }
  return passed;
}

TEST(LogLimitsTest, OfAKindTheFirstLinesOfAMinutePass) {
  LogLimits limits;
  EXPECT_EQ(Passed(limits, "a", 1000, kStart), LogLimits::kRepeated);
  EXPECT_EQ(Passed(limits, "a", 1000, kStart + 59s), 0U);
  EXPECT_EQ(Passed(limits, "b", 3, kStart + 59s), 3U) << "another kind's are its own";
  EXPECT_EQ(Passed(limits, "c", 1000, kStart, LogLimits::kEvents), LogLimits::kEvents);
}

TEST(LogLimitsTest, WhatWasLeftOutIsSaidOnceWhenTheMinuteIsOver) {
  LogLimits limits;
  Passed(limits, "a", 25, kStart);
  Passed(limits, "b", 10, kStart);
  EXPECT_TRUE(limits.TakeEnded(kStart + 59s).empty());
  std::vector<LogLimits::LeftOut> left_out = limits.TakeEnded(kStart + 60s);
  ASSERT_EQ(left_out.size(), 1U) << "of b all passed";
  EXPECT_EQ(left_out[0].lines, 15U);
  EXPECT_EQ(left_out[0].message, "line 24");
  EXPECT_EQ(left_out[0].level, LogLevel::kWarning);
  EXPECT_TRUE(limits.TakeEnded(kStart + 10min).empty());
}

TEST(LogLimitsTest, ANewMinuteBeginsWithTheNextLine) {
  LogLimits limits;
  Passed(limits, "a", 25, kStart);
  limits.TakeEnded(kStart + 5min);
  EXPECT_EQ(Passed(limits, "a", 25, kStart + 5min), LogLimits::kRepeated);
}

}  // namespace
}  // namespace weighhouse
