#include "agent/heartbeat.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <ctime>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/support/captured_log.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::agent {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

TEST(HeartbeatTest, IsSeenUntilItIsTooOld) {
  TemporaryDirectory directory;
  std::string path = directory / "beat";
  EXPECT_THAT(CheckHeartbeat(path, seconds(90)).error().message, HasSubstr("No such file"));
  Heartbeat heartbeat(path);
  heartbeat.Beat({});
  EXPECT_TRUE(CheckHeartbeat(path, seconds(90)).has_value());
  timespec old[2] = {{.tv_sec = std::time(nullptr) - 100, .tv_nsec = 0},
                     {.tv_sec = std::time(nullptr) - 100, .tv_nsec = 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), old, 0), 0);
  EXPECT_THAT(CheckHeartbeat(path, seconds(90)).error().message, HasSubstr("it hangs"));
  heartbeat.Beat(std::chrono::steady_clock::time_point() + seconds(1));
  EXPECT_TRUE(CheckHeartbeat(path, seconds(90)).has_value());
}

TEST(HeartbeatTest, TellsOnceThatItCannotBeWritten) {
  TemporaryDirectory directory;
  CapturedLog log;
  Heartbeat heartbeat(directory / "missing/beat");
  for (int second = 0; second < 3; ++second) {
    heartbeat.Beat(std::chrono::steady_clock::time_point() + seconds(second));
  }
  EXPECT_THAT(log.text(),
              HasSubstr("missing/beat: No such file or directory: the probe will fail"));
  EXPECT_EQ(log.text().find("probe"), log.text().rfind("probe"));
}

TEST(HeartbeatTest, IsNoneWithoutAFile) { Heartbeat("").Beat({}); }

}  // namespace
}  // namespace weighhouse::agent
