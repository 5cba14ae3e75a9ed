#include "cache-daemon/source/hub/budget_window.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Time = BudgetWindow::Time;

HttpHeaders AnswerOf(int status, const std::vector<std::string>& lines) {
  HttpHeaders headers;
  headers.AddLine(fmt::format("HTTP/1.1 {} X\r\n", status));
  for (const std::string& line : lines) headers.AddLine(line + "\r\n");
  return headers;
}

class BudgetWindowTest : public testing::Test {
 protected:
  /// So many requests are left for so long, of 100.
  void Say(uint64_t remaining, uint64_t reset) {
    window_.Learn(AnswerOf(200, {fmt::format("RateLimit: \"api\";r={};t={}", remaining, reset),
                                 "RateLimit-Policy: \"fixed window\";\"api\";q=100;w=300"}),
                  {}, now_);
  }
  /// How long one more request waits; nothing if it is refused.
  std::optional<milliseconds> Begin() {
    auto outcome = window_.Begin(now_);
    if (std::holds_alternative<BudgetWindow::Refused>(outcome)) return std::nullopt;
    return std::get<BudgetWindow::Admitted>(outcome).wait;
  }
  milliseconds Refusal() {
    auto outcome = window_.Begin(now_);
    return std::get<BudgetWindow::Refused>(outcome).retry_after;
  }

  BudgetWindow window_;
  Time now_ = Time(seconds(1'000'000));
};

TEST_F(BudgetWindowTest, AdmitsAllWhileNothingIsKnown) {
  for (int i = 0; i < 10'000; ++i) EXPECT_EQ(Begin(), milliseconds(0));
}

TEST_F(BudgetWindowTest, LetsNobodyWaitWhilePlentyIsLeft) {
  Say(100, 300);
  for (int i = 0; i < 80; ++i) EXPECT_EQ(Begin(), milliseconds(0)) << i;
}

TEST_F(BudgetWindowTest, SpreadsTheLastFifthUntilTheWindowEnds) {
  Say(20, 19);
  milliseconds last{-1};
  int admitted = 0;
  // Nobody waits longer than five seconds: so many of the 20 go within them.
  while (std::optional<milliseconds> wait = Begin()) {
    EXPECT_GT(*wait, last);
    last = *wait;
    ++admitted;
  }
  EXPECT_GE(admitted, 4);
  EXPECT_LE(admitted, 7);
  EXPECT_LE(last, BudgetWindow::kLongestWait);
  EXPECT_GT(Refusal(), BudgetWindow::kLongestWait);
}

TEST_F(BudgetWindowTest, RefusesWhatNothingIsLeftForUntilTheWindowEnds) {
  Say(0, 29);
  EXPECT_EQ(Refusal(), seconds(30));
  now_ += seconds(10);
  EXPECT_EQ(Refusal(), seconds(20));
  now_ += seconds(20);
  EXPECT_EQ(Begin(), milliseconds(0));
}

TEST_F(BudgetWindowTest, CountsRequestsUnderWay) {
  Say(1, 299);
  EXPECT_EQ(Begin(), milliseconds(0));
  now_ += seconds(299);
  EXPECT_EQ(Refusal(), seconds(1)) << "the server hasn't counted that one yet";
  window_.End();
  EXPECT_EQ(Begin(), seconds(1)) << "it wasn't counted: no answer came";
}

TEST_F(BudgetWindowTest, TakesTheLeastOfAnswersThatOvertakeEachOther) {
  Say(0, 100);
  Say(7, 101);
  EXPECT_FALSE(Begin());
}

TEST_F(BudgetWindowTest, BeginsAnewWithTheNextWindow) {
  Say(0, 10);
  now_ += seconds(9);
  Say(99, 300);
  EXPECT_EQ(Begin(), milliseconds(0));
}

TEST_F(BudgetWindowTest, StopsAtA429HoweverItSaysSo) {
  window_.Learn(AnswerOf(429, {"Retry-After: 7"}), {}, now_);
  EXPECT_EQ(Refusal(), seconds(7));
  now_ += seconds(7);
  EXPECT_TRUE(Begin());
  window_.Learn(AnswerOf(429, {}), {}, now_);
  EXPECT_EQ(Refusal(), seconds(5));
}

}  // namespace
}  // namespace weighhouse::source
