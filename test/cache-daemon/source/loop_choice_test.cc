#include "cache-daemon/source/loop_choice.h"

#include <vector>

#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

constexpr double kIdle = 0.1, kBusy = 0.9;

size_t Chosen(const std::vector<LoopLoad>& loads, size_t most = 3) {
  return ChooseLoop(loads, {.most = most});
}

TEST(LoopChoiceTest, StaysWithTheFirstLoopWhileItHasTime) {
  EXPECT_EQ(Chosen({{.busy = kIdle, .transfers = 50}}), 0U);
  EXPECT_EQ(Chosen({{.busy = kIdle, .transfers = 50}, {.busy = 0}}), 0U);
}

TEST(LoopChoiceTest, PrefersALoopThatCanReuseAConnectionWhileNoneIsBusy) {
  EXPECT_EQ(Chosen({{.busy = kIdle}, {.busy = kIdle, .keeps_connection = true}}), 1U);
}

TEST(LoopChoiceTest, BeginsAnotherWhenAllAreBusyAndThereMayBeMore) {
  EXPECT_EQ(Chosen({{.busy = kBusy}}), 1U);
  EXPECT_EQ(Chosen({{.busy = kBusy}, {.busy = kBusy}}), 2U);
  EXPECT_EQ(Chosen({{.busy = kBusy, .keeps_connection = true}}), 1U) << "reuse isn't worth waiting";
}

TEST(LoopChoiceTest, BeginsNoneBeyondTheLimit) {
  EXPECT_EQ(Chosen({{.busy = kBusy, .transfers = 9}}, 1), 0U);
  EXPECT_EQ(Chosen({{.busy = kBusy, .transfers = 9}, {.busy = 1, .transfers = 8}}, 2), 1U);
}

TEST(LoopChoiceTest, SharesEquallyOnceOneIsBusy) {
  LoopLoad busy{.busy = kBusy, .transfers = 4};
  EXPECT_EQ(Chosen({busy, {.busy = 0, .transfers = 3}}), 1U);
  EXPECT_EQ(Chosen({busy, {.busy = 0, .transfers = 5}}), 0U) << "a new loop's load shows late";
  EXPECT_EQ(Chosen({busy, {.busy = 0, .transfers = 4, .keeps_connection = true}}), 1U);
}

TEST(LoopChoiceTest, LeavesOneThreadToTheHashersAndMakesEightAtMost) {
  EXPECT_EQ(AutomaticLoops(0), 1U) << "unknown";
  EXPECT_EQ(AutomaticLoops(1), 1U);
  EXPECT_EQ(AutomaticLoops(2), 1U);
  EXPECT_EQ(AutomaticLoops(4), 3U);
  EXPECT_EQ(AutomaticLoops(128), 8U);
}

}  // namespace
}  // namespace weighhouse::source
