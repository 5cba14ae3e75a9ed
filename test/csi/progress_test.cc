#include "csi/progress.h"

#include <gtest/gtest.h>

namespace weighhouse::csi {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(ProgressTest, SaysHowFarHowFastAndHowLong) {
  Progress progress{.bytes_done = 12'993'000'000,
                    .bytes_total = 34'790'000'000,
                    .bytes_per_second = 1'288'490'189,
                    .waiting_for = ""};
  EXPECT_EQ(DescribeProgress("hf://a/b@main", progress),
            "filling hf://a/b@main: 12.1/32.4 GiB (37 %), 1.2 GiB/s, 16 s left");
}

TEST(ProgressTest, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(DescribeProgress("hf://a/b", {}), "filling hf://a/b: asking the source what it holds");
  EXPECT_EQ(DescribeProgress("hf://a/b", {.bytes_done = 5, .bytes_total = 10}),
            "filling hf://a/b: 5/10 B (50 %)");
}

TEST(ProgressTest, SaysWhyNothingMoves) {
  Progress progress{.bytes_done = 0,
                    .bytes_total = 2048,
                    .bytes_per_second = 0,
                    .waiting_for = "429 from host, trying again in 12 s"};
  EXPECT_EQ(DescribeProgress("m", progress),
            "filling m: 0.0/2.0 KiB (0 %); 429 from host, trying again in 12 s");
}

TEST(ProgressTest, MoreDoneThanThereIsCountsAsAll) {
  EXPECT_EQ(DescribeProgress("m", {.bytes_done = 20, .bytes_total = 10, .bytes_per_second = 1}),
            "filling m: 10/10 B (100 %), 1 B/s, 0 s left");
}

TEST(ProgressTest, HoldsUntilTheMarginButNotBeyondTheLimit) {
  EXPECT_EQ(HoldTime(seconds(120), seconds(10), seconds(110)), seconds(110));
  EXPECT_EQ(HoldTime(seconds(60), seconds(10), seconds(110)), seconds(50));
  EXPECT_EQ(HoldTime(seconds(86400), seconds(10), seconds(110)), seconds(110));
}

TEST(ProgressTest, AShortDeadlineStillGetsHalf) {
  EXPECT_EQ(HoldTime(seconds(4), seconds(10), seconds(110)), seconds(2));
  EXPECT_EQ(HoldTime(seconds(-5), seconds(10), seconds(110)), milliseconds(0));
}

}  // namespace
}  // namespace weighhouse::csi
