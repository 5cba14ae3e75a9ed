#include "cli/progress_printer.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include <gtest/gtest.h>

#include "base/unique_fd.h"

namespace weighhouse::cli {
namespace {

using namespace std::chrono_literals;

class HandClock final : public Clock {
 public:
  std::chrono::system_clock::time_point Now() const override { return {}; }
  std::chrono::steady_clock::time_point Steady() const override { return now_; }
  void Advance(std::chrono::milliseconds by) { now_ += by; }

 private:
  std::chrono::steady_clock::time_point now_ = std::chrono::steady_clock::time_point() + 1h;
};

class ProgressPrinterTest : public ::testing::Test {
 protected:
  ProgressPrinterTest() {
    std::array<int, 2> fds{-1, -1};
    EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK), 0);
    read_.reset(fds[0]);
    write_.reset(fds[1]);
  }
  std::string Written() const {
    std::array<char, 4096> text;
    ssize_t size = ::read(read_.get(), text.data(), text.size());
    return size > 0 ? std::string(text.data(), static_cast<size_t>(size)) : "";
  }
  static Progress At(Bytes done) {
    return {.total = 100, .done = done, .files_total = 1, .waiting_for = ""};
  }

  HandClock clock_;
  UniqueFd read_, write_;
};

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
