#include "base/log.h"

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "test/support/captured_log.h"

namespace weighhouse {
namespace {

using namespace std::chrono_literals;

class HeldClock final : public Clock {
 public:
  std::chrono::system_clock::time_point Now() const override {
    return std::chrono::system_clock::time_point(1738324800123ms + now);
  }
  std::chrono::steady_clock::time_point Steady() const override {
    return std::chrono::steady_clock::time_point(1h + now);
  }
  std::chrono::milliseconds now{0};
};

size_t Lines(const std::string& text) {
  return static_cast<size_t>(std::ranges::count(text, '\n'));
}

bool EndsWith(const std::string& text, std::string_view end) { return text.ends_with(end); }

TEST(LogTest, ALineHasItsFieldsAndItsThreadsContext) {
  CapturedLog log;
  LogScope scope(LogContext().With({{"request", "00ff00ff00ff00ff"}}));
  LogEvent(LogLevel::kInfo, "ready", {{"ms", 12}});
  EXPECT_TRUE(EndsWith(log.text(), "Z info ready ms=12 request=00ff00ff00ff00ff\n")) << log.text();
}

TEST(LogTest, ALineOfSpdlogsOwnFunctionsHasTheContextAndNobodysFields) {
  CapturedLog log;
  LogEvent(LogLevel::kInfo, "before", {{"ms", 12}});
  LogScope scope(LogContext().With({{"request", "00ff00ff00ff00ff"}}));
  spdlog::warn("old {}", 1);
  EXPECT_TRUE(EndsWith(log.text(), "Z warning old 1 request=00ff00ff00ff00ff\n")) << log.text();
}

TEST(LogTest, TheFormatAndTheLevelChangeWhileItRuns) {
  CapturedLog log;
  ChangeLog("warning", LogFormat::kJson);
  LogEvent(LogLevel::kInfo, "too low");
  LogEvent(LogLevel::kError, "said", {{"code", "INTERNAL"}});
  nlohmann::json line = nlohmann::json::parse(log.text());
  EXPECT_EQ(line["level"], "error");
  EXPECT_EQ(line["message"], "said");
  EXPECT_EQ(line["code"], "INTERNAL");
}

TEST(LogTest, WhatAFailureRepeatsIsBoundedAndCounted) {
  HeldClock clock;
  CapturedLog log(LogFormat::kJson, clock);
  auto fail = [](int i) {
    LogRepeated(LogLevel::kWarning, fmt::format("failure {}", i), {{"n", i}});
  };
  for (int i = 0; i < 1000; ++i) fail(i);
  EXPECT_EQ(Lines(log.text()), 10U);
  LogEvent(LogLevel::kInfo, "another place");
  EXPECT_EQ(Lines(log.text()), 11U);
  clock.now = 61s;
  LogEvent(LogLevel::kInfo, "a minute later");
  ASSERT_EQ(Lines(log.text()), 13U);
  std::string rest = log.text();
  for (int i = 0; i < 11; ++i) rest.erase(0, rest.find('\n') + 1);
  nlohmann::json sum = nlohmann::json::parse(rest.substr(0, rest.find('\n')));
  EXPECT_EQ(sum["left_out"], 990);
  EXPECT_EQ(sum["level"], "warning");
  EXPECT_EQ(sum["message"], "990 more lines like this were left out in a minute: failure 999");
  EXPECT_EQ(sum["time"], "2025-01-31T12:01:01.123Z");
}

TEST(LogTest, EachPlaceHasABoundOfItsOwn) {
  HeldClock clock;
  CapturedLog log(LogFormat::kText, clock);
  for (int i = 0; i < 100; ++i) LogRepeated(LogLevel::kWarning, "one place");
  for (int i = 0; i < 100; ++i) LogRepeated(LogLevel::kWarning, "another");
  EXPECT_EQ(Lines(log.text()), 20U);
}

TEST(LogTest, EventsHaveAWiderBound) {
  HeldClock clock;
  CapturedLog log(LogFormat::kText, clock);
  for (int i = 0; i < 1000; ++i) LogEvent(LogLevel::kInfo, "published");
  EXPECT_EQ(Lines(log.text()), 300U);
  for (int i = 0; i < 1000; ++i) LogEvent(LogLevel::kDebug, "published");
  EXPECT_EQ(Lines(log.text()), 1300U);
}

TEST(LogTest, WhoDebugsGetsEveryLine) {
  HeldClock clock;
  CapturedLog log(LogFormat::kText, clock);
  for (int i = 0; i < 100; ++i) LogRepeated(LogLevel::kDebug, "step");
  EXPECT_EQ(Lines(log.text()), 100U);
}

TEST(LogTest, WhatWasLeftOutLastIsSaidAtTheEnd) {
  std::string lines;
  {
    auto before = spdlog::default_logger();
    HeldClock clock;
    SetUpLog({.write = [&lines](std::string_view line) { lines += line; }}, clock);
    for (int i = 0; i < 13; ++i) LogRepeated(LogLevel::kInfo, "again");
    spdlog::set_default_logger(before);
  }
  EXPECT_EQ(Lines(lines), 11U);
  EXPECT_TRUE(lines.find("3 more lines like this were left out") != std::string::npos) << lines;
}

}  // namespace
}  // namespace weighhouse
