#include "cache-daemon/fill/warm_decision.h"

#include <gtest/gtest.h>

#include "test/support/temporary_directory.h"

namespace weighhouse::fill {
namespace {

TEST(MayWarmTest, LeavesATenthOfTheMemoryAvailable) {
  MemoryFigures figures{.total = 100 * kGiB, .available = 50 * kGiB, .cgroup_limit = {}};
  EXPECT_EQ(MayWarm(40 * kGiB, figures), WarmDecision::kWarm);
  EXPECT_EQ(MayWarm(40 * kGiB + 1, figures), WarmDecision::kNoRoom);
  figures.available = 9 * kGiB;
  EXPECT_EQ(MayWarm(0, figures), WarmDecision::kNoRoom);
}

TEST(MayWarmTest, DoesNothingUnderALimitHoweverLarge) {
  MemoryFigures figures{.total = 100 * kGiB, .available = 90 * kGiB, .cgroup_limit = 80 * kGiB};
  EXPECT_EQ(MayWarm(kMiB, figures), WarmDecision::kLimited);
}

class MemoryFiguresTest : public testing::Test {
 protected:
  MemoryFiguresTest() {
    Write("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 5 kB\n\nMemAvailable:    8192 kB\n");
  }
  void Write(const std::string& path, const std::string& text) {
    WriteTestFile(root_ / path, text);
  }
  std::optional<Bytes> Limit() { return ReadMemoryFigures(root_.path().string())->cgroup_limit; }
  TemporaryDirectory root_;
};

TEST_F(MemoryFiguresTest, TakesWhatTheKernelSaysIsAvailable) {
  Result<MemoryFigures> figures = ReadMemoryFigures(root_.path().string());
  ASSERT_TRUE(figures) << figures.error().message;
  EXPECT_EQ(figures->total, 16 * kMiB);
  EXPECT_EQ(figures->available, 8 * kMiB);
  EXPECT_EQ(figures->cgroup_limit, std::nullopt);
}

TEST_F(MemoryFiguresTest, SaysWhatItCantRead) {
  Write("proc/meminfo", "MemTotal: 1 kB\n");
  EXPECT_FALSE(ReadMemoryFigures(root_.path().string()));
  EXPECT_FALSE(ReadMemoryFigures("/nowhere"));
}

TEST_F(MemoryFiguresTest, FindsTheLeastLimitOfTheGroupsAbove) {
  Write("proc/self/cgroup", "0::/pod/container\n");
  Write("sys/fs/cgroup/pod/container/memory.max", "max\n");
  EXPECT_EQ(Limit(), std::nullopt);
  Write("sys/fs/cgroup/pod/memory.max", "5000000\n");
  EXPECT_EQ(Limit(), 5000000U);
  Write("sys/fs/cgroup/pod/container/memory.max", "4000000\n");
  EXPECT_EQ(Limit(), 4000000U);
}

TEST_F(MemoryFiguresTest, FindsTheLimitOfAContainerThatSeesItsOwnGroupOnly) {
  Write("proc/self/cgroup", "0::/../kubepods/pod1/c2\n");
  Write("sys/fs/cgroup/memory.max", "3000000\n");
  EXPECT_EQ(Limit(), 3000000U);
}

TEST_F(MemoryFiguresTest, FindsTheLimitOfVersionOne) {
  Write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/x\n");
  Write("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Limit(), std::nullopt);
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000\n");
  EXPECT_EQ(Limit(), 2000000U);
}

}  // namespace
}  // namespace weighhouse::fill
