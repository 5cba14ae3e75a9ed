#include "cache-daemon/daemon/logging.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "cache-daemon/daemon/error_memory.h"

namespace weighhouse::daemon {
namespace {

class ErrorMemoryTest : public testing::Test {
 protected:
  void Say(const std::string& message) { memory_.Add({.level = "warning", .message = message}); }
  ErrorMemory memory_;
};

TEST_F(ErrorMemoryTest, WhatIsSaidAgainCountsUpAndIsTheNewest) {
  Say("one");
  Say("two");
  Say("one");
  std::vector<api::RecentError> errors = memory_.All();
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].message, "two");
  EXPECT_EQ(errors[1].message, "one");
  EXPECT_EQ(errors[1].times, 2u);
}

TEST_F(ErrorMemoryTest, ForgetsTheOldestAndCutsWhatIsLong) {
  for (size_t i = 0; i <= ErrorMemory::kMost; ++i) Say(fmt::format("number {}", i));
  std::vector<api::RecentError> errors = memory_.All();
  ASSERT_EQ(errors.size(), ErrorMemory::kMost);
  EXPECT_EQ(errors.front().message, "number 1");
  EXPECT_EQ(errors.back().message, fmt::format("number {}", ErrorMemory::kMost));
  Say(std::string(ErrorMemory::kLongest + 1, 'x'));
  EXPECT_EQ(memory_.All().back().message.size(), ErrorMemory::kLongest);
}

TEST_F(ErrorMemoryTest, HearsWarningsAndErrorsOfTheLogOnly) {
  std::shared_ptr<spdlog::logger> before = spdlog::default_logger();
  SetUpLogging("info", LogFormat::kText, memory_);
  spdlog::info("all is well");
  spdlog::warn("keep: hf://a/b: away");
  spdlog::error("blob is damaged");
  spdlog::set_default_logger(before);
  std::vector<api::RecentError> errors = memory_.All();
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].level, "warning");
  EXPECT_EQ(errors[0].message, "keep: hf://a/b: away");
  EXPECT_EQ(errors[1].level, "error");
  EXPECT_GT(errors[1].time.time_since_epoch().count(), 0);
}

}  // namespace
}  // namespace weighhouse::daemon
