#include "cache-daemon/daemon/logging.h"

#include <chrono>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace weighhouse::daemon {
namespace {

TEST(LoggingTest, AJsonLineIsOneObjectWhateverTheMessage) {
  std::chrono::system_clock::time_point time(std::chrono::milliseconds(1738324800123));
  std::string line = JsonLogLine(time, "info", "quote \" newline \n and a bad byte \xFF");
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  nlohmann::json parsed = nlohmann::json::parse(line);
  EXPECT_EQ(parsed["time"], "2025-01-31T12:00:00.123Z");
  EXPECT_EQ(parsed["level"], "info");
  EXPECT_EQ(parsed["message"], "quote \" newline \n and a bad byte \xEF\xBF\xBD");
}

}  // namespace
}  // namespace weighhouse::daemon
