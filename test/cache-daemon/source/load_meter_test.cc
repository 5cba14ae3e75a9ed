#include "cache-daemon/source/load_meter.h"

#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;

class LoadMeterTest : public testing::Test {
 protected:
  /// A loop that works and waits in turns.
  void Run(std::chrono::milliseconds works, std::chrono::milliseconds waits, int turns) {
    for (int i = 0; i < turns; ++i) {
      now_ += works;
      meter_.BeginWait(now_);
      now_ += waits;
      meter_.EndWait(now_);
    }
  }
  LoadMeter::Time now_{1h};
  LoadMeter meter_{now_};
};

TEST_F(LoadMeterTest, SaysWhichPartIsWork) {
  Run(3ms, 1ms, 500);
  EXPECT_NEAR(meter_.Busy(now_), 0.75, 0.01);
  Run(1ms, 9ms, 100);
  EXPECT_NEAR(meter_.Busy(now_), 0.1, 0.01);
}

TEST_F(LoadMeterTest, CallsANewLoopIdle) { EXPECT_EQ(meter_.Busy(now_), 0); }

TEST_F(LoadMeterTest, NoticesALoopThatNeverWaits) {
  now_ += 250ms;
  EXPECT_NEAR(meter_.Busy(now_), 1, 0.01);
}

TEST_F(LoadMeterTest, CountsTheWaitThatGoesOn) {
  Run(10ms, 0ms, 50);
  meter_.BeginWait(now_);
  EXPECT_NEAR(meter_.Busy(now_), 1, 0.01);
  EXPECT_LT(meter_.Busy(now_ + 2s), 0.15);
}

TEST_F(LoadMeterTest, ForgetsAfterTwoWindows) {
  Run(10ms, 0ms, 100);
  Run(0ms, 10ms, 51);
  EXPECT_NEAR(meter_.Busy(now_), 0, 0.01);
}

}  // namespace
}  // namespace weighhouse::source
