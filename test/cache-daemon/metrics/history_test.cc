#include "cache-daemon/metrics/history.h"

#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/engine/manual_clock.h"

namespace weighhouse::metrics {
namespace {

using ::testing::ElementsAre;
using Step = History::Step;

class HistoryTest : public ::testing::Test {
 protected:
  /// What all steps sum up to.
  Step Sum() const {
    Step sum;
    for (const Step& step : history_.Lately().steps) {
      sum.events += step.events;
      sum.bytes += step.bytes;
    }
    return sum;
  }

  ManualClock clock_;
  History history_{clock_};
};

TEST_F(HistoryTest, BeginsWithOneEmptyStep) {
  EXPECT_THAT(history_.Lately().steps, ElementsAre(Step{}));
  EXPECT_EQ(history_.Lately().begins, clock_.Now());
}

TEST_F(HistoryTest, SumsWhatHappensInOneStep) {
  history_.Add(5);
  clock_.Advance(History::kStep - std::chrono::seconds(1));
  history_.Add(7);
  clock_.Advance(std::chrono::seconds(1));
  history_.Add(1);
  EXPECT_THAT(history_.Lately().steps,
              ElementsAre(Step{.events = 2, .bytes = 12}, Step{.events = 1, .bytes = 1}));
}

TEST_F(HistoryTest, StepsInWhichNothingHappensAreThereAndEmpty) {
  history_.Add(5);
  clock_.Advance(2 * History::kStep);
  EXPECT_THAT(history_.Lately().steps, ElementsAre(Step{.events = 1, .bytes = 5}, Step{}, Step{}))
      << "also behind the last event";
  history_.Add(3);
  EXPECT_THAT(history_.Lately().steps,
              ElementsAre(Step{.events = 1, .bytes = 5}, Step{}, Step{.events = 1, .bytes = 3}));
}

TEST_F(HistoryTest, KeepsADayAndNoMore) {
  constexpr size_t kLong = 3 * History::kSteps + 7;
  for (size_t i = 0; i < kLong; ++i) {
    history_.Add(i);
    clock_.Advance(History::kStep);
  }
  History::View view = history_.Lately();
  ASSERT_EQ(view.steps.size(), History::kSteps);
  EXPECT_EQ(view.steps.back(), Step{}) << "the step that has just begun";
  for (size_t i = 0; i + 1 < History::kSteps; ++i) {
    EXPECT_EQ(view.steps[i], (Step{.events = 1, .bytes = kLong - History::kSteps + 1 + i})) << i;
  }
  EXPECT_EQ(view.begins, clock_.Now() - (History::kSteps - 1) * History::kStep);
}

TEST_F(HistoryTest, ForgetsWhatIsMoreThanADayOldAlsoWhereNothingCameSince) {
  history_.Add(5);
  clock_.Advance((History::kSteps - 1) * History::kStep);
  EXPECT_EQ(Sum(), (Step{.events = 1, .bytes = 5}));
  clock_.Advance(History::kStep);
  EXPECT_EQ(Sum(), Step{});
  history_.Add(1);
  EXPECT_EQ(Sum(), (Step{.events = 1, .bytes = 1})) << "the old one's place was taken";
  clock_.Advance(5000 * History::kStep);
  history_.Add(2);
  EXPECT_EQ(Sum(), (Step{.events = 1, .bytes = 2}));
}

TEST_F(HistoryTest, AWallClockThatIsSetMovesWhereItBeginsAndNothingElse) {
  history_.Add(5);
  clock_.Advance(History::kStep);
  clock_.Set(std::chrono::hours(3));
  EXPECT_EQ(history_.Lately().begins, clock_.Now() - History::kStep);
  EXPECT_THAT(history_.Lately().steps, ElementsAre(Step{.events = 1, .bytes = 5}, Step{}));
}

TEST_F(HistoryTest, LosesNothingBetweenThreads) {
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([this] {
        for (int n = 0; n < 1000; ++n) history_.Add(3);
      });
    }
  }
  EXPECT_EQ(Sum(), (Step{.events = 4000, .bytes = 12000}));
}

}  // namespace
}  // namespace weighhouse::metrics
