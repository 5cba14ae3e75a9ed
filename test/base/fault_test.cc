#include "base/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/support/temporary_directory.h"

namespace weighhouse {
namespace {

TEST(FaultPointsTest, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names(kFaultPoints.begin(), kFaultPoints.end());
  EXPECT_EQ(names.size(), kFaultPoints.size());
}

#ifdef WEIGHHOUSE_FAULT_POINTS

/// Ends the child with the number of passages it lived through.
[[noreturn]] void PassThreeTimes(const std::string& fault) {
  ::setenv("WEIGHHOUSE_FAULT", fault.c_str(), 1);
  FaultPoint("ingest.created");
  FaultPoint("ingest.renamed");
  FaultPoint("ingest.renamed");
  ::_exit(3);
}

// "threadsafe" runs each in a process of its own, where the plan hasn't been read yet.
class FaultPointDeathTest : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(FaultPointDeathTest, KillsAtItsName) {
  EXPECT_EXIT(PassThreeTimes("ingest.renamed"), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(PassThreeTimes("ingest.created"), testing::KilledBySignal(SIGKILL), "");
}

TEST_F(FaultPointDeathTest, KillsAtTheChosenPassageOnly) {
  EXPECT_EXIT(PassThreeTimes("ingest.renamed:2"), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(PassThreeTimes("ingest.renamed:3"), testing::ExitedWithCode(3), "");
}

TEST_F(FaultPointDeathTest, LetsOthersPass) {
  EXPECT_EXIT(PassThreeTimes("tree.begun"), testing::ExitedWithCode(3), "");
  EXPECT_EXIT(PassThreeTimes(""), testing::ExitedWithCode(3), "");
}

TEST_F(FaultPointDeathTest, TracesEachPointOnce) {
  TemporaryDirectory directory;
  // The child is started anew and makes a directory of its own, so the path comes by the
  // environment.
  const char* inherited = ::getenv("WEIGHHOUSE_TRACE_TEST");
  std::string path = inherited != nullptr ? inherited : (directory / "trace").string();
  ::setenv("WEIGHHOUSE_TRACE_TEST", path.c_str(), 1);
  EXPECT_EXIT(PassThreeTimes("trace:" + path), testing::ExitedWithCode(3), "");
  EXPECT_EQ(ReadTestFile(path), "ingest.created\ningest.renamed\n");
  ::unsetenv("WEIGHHOUSE_TRACE_TEST");
}

#endif

}  // namespace
}  // namespace weighhouse
