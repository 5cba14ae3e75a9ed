#include "cli/progress_printer.h"

#include <gtest/gtest.h>

#include "test/cli/progress_fixture.h"

namespace weighhouse::cli {
namespace {

using namespace std::chrono_literals;

class ProgressPrinterTest : public ProgressFixture {};

TEST_F(ProgressPrinterTest, AFillWithoutSumsYetIsNoNews) {
  ProgressPrinter printer(write_.get(), ProgressPrinter::Style::kLines, "m", clock_);
  printer.Resolving();
  EXPECT_EQ(Written(), "m: asking the source\n");
  printer.Filling({.waiting_for = ""});
  EXPECT_EQ(Written(), "");
  printer.Filling(At(1));
  EXPECT_EQ(Written(), "m: 1/100 B (1 %), 0 of 1 files\n");
}

TEST_F(ProgressPrinterTest, LinesComeAtStageChangesAndEveryFiveSeconds) {
  ProgressPrinter printer(write_.get(), ProgressPrinter::Style::kLines, "m", clock_);
  printer.Resolving();
  EXPECT_EQ(Written(), "m: asking the source\n");
  printer.Filling(At(1));
  EXPECT_EQ(Written(), "m: 1/100 B (1 %), 0 of 1 files\n");
  clock_.Advance(4999ms);
  printer.Filling(At(2));
  EXPECT_EQ(Written(), "");
  clock_.Advance(1ms);
  printer.Filling(At(3));
  EXPECT_EQ(Written(), "m: 3/100 B (3 %), 0 of 1 files\n");
}

TEST_F(ProgressPrinterTest, ALineSaysAtOnceThatNothingMoves) {
  ProgressPrinter printer(write_.get(), ProgressPrinter::Style::kLines, "m", clock_);
  printer.Filling(At(1));
  Written();
  Progress waiting = At(1);
  waiting.waiting_for = "429";
  printer.Filling(waiting);
  EXPECT_EQ(Written(), "m: 1/100 B (1 %), 429, 0 of 1 files\n");
  waiting.waiting_for = "429 again";
  printer.Filling(waiting);
  EXPECT_EQ(Written(), "");
}

TEST_F(ProgressPrinterTest, TheBarIsRedrawnAtMostFiveTimesASecond) {
  ProgressPrinter printer(write_.get(), ProgressPrinter::Style::kBar, "m", clock_);
  printer.Filling(At(1));
  EXPECT_TRUE(Written().starts_with("\r\x1b[K"));
  clock_.Advance(199ms);
  printer.Filling(At(2));
  EXPECT_EQ(Written(), "");
  clock_.Advance(1ms);
  printer.Filling(At(3));
  EXPECT_NE(Written(), "");
}

TEST_F(ProgressPrinterTest, ClearsTheBarOnceAndOnlyIfThereIsOne) {
  {
    ProgressPrinter printer(write_.get(), ProgressPrinter::Style::kBar, "m", clock_);
    printer.Clear();
    EXPECT_EQ(Written(), "");
    printer.Resolving();
    Written();
    printer.Clear();
    EXPECT_EQ(Written(), "\r\x1b[K");
  }
  EXPECT_EQ(Written(), "");
}

TEST_F(ProgressPrinterTest, NoneWritesNothing) {
  ProgressPrinter printer(write_.get(), ProgressPrinter::Style::kNone, "m", clock_);
  printer.Resolving();
  printer.Filling(At(1));
  EXPECT_EQ(Written(), "");
}

TEST_F(ProgressPrinterTest, APipeGetsLines) {
  EXPECT_EQ(ProgressPrinter::StyleFor(write_.get()), ProgressPrinter::Style::kLines);
}

}  // namespace
}  // namespace weighhouse::cli
