#include <signal.h>

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "test/cli/served_engine.h"

namespace weighhouse::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

AcquiredTree ReadyTree(Bytes fetched) {
  return {.snapshot_id = std::string(64, 'd'),
          .revision = std::string(40, 'c'),
          .tree = "trees/files/" + std::string(64, 'd'),
          .bytes = 87 * kMiB,
          .bytes_fetched = fetched,
          .files = 12};
}

fill::FillProgress At(Bytes done) {
  return {.bytes_total = 87 * kMiB,
          .bytes_done = done,
          .bytes_per_second = 10.0 * kMiB,
          .files_total = 12,
          .files_done = 3};
}

class PullProgramTest : public ServedEngineTest {
 protected:
  std::unique_ptr<SpawnedProgram> Start(
      std::vector<std::string> arguments,
      SpawnedProgram::Errors errors = SpawnedProgram::Errors::kPipe) const {
    return std::make_unique<SpawnedProgram>("weighhouse", WithSocket(std::move(arguments)),
                                            std::vector<std::string>(), errors);
  }
};

TEST_F(PullProgramTest, PrintsTheTreeAndTheSums) {
  engine_.on_acquire = [](const AcquireRequest&, AcquireObserver& observer) {
    observer.OnDone(ReadyTree(87 * kMiB));
  };
  ProgramResult result = Run({"pull", "hf://org/name", "--revision", "main"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              MatchesRegex("ready: hf://org/name@main .cccccccccccc.: 87.0 MiB in [^(]*[(].*/s[)]; "
                           "12 files; tree: /cache/trees/files/d{64}\n"));
}

TEST_F(PullProgramTest, SaysThatNothingWasFetched) {
  engine_.on_acquire = [](const AcquireRequest&, AcquireObserver& observer) {
    observer.OnDone(ReadyTree(0));
  };
  EXPECT_THAT(Run({"pull", "hf://org/name"}).out, HasSubstr("(already here)"));
}

TEST_F(PullProgramTest, HoldsNoLease) {
  engine_.on_acquire = [](const AcquireRequest&, AcquireObserver& observer) {
    observer.OnDone(ReadyTree(0));
  };
  EXPECT_EQ(Run({"pull", "hf://org/name", "--layout", "hub"}).exit_code, 0);
  AcquireRequest request = engine_.WaitForAcquire(0).request;
  EXPECT_EQ(request.lease_id, "");
  EXPECT_EQ(request.layout, Layout::kHub);
}

TEST_F(PullProgramTest, PrintsOneJsonObject) {
  engine_.on_acquire = [](const AcquireRequest&, AcquireObserver& observer) {
    observer.OnDone(ReadyTree(kMiB));
  };
  ProgramResult result = Run({"pull", "hf://org/name", "--output", "json"});
  json pulled = json::parse(result.out);
  EXPECT_EQ(pulled["tree"], "/cache/trees/files/" + std::string(64, 'd'));
  EXPECT_EQ(pulled["bytes_fetched"], kMiB);
  EXPECT_EQ(pulled["served_from"], "source");
}

TEST_F(PullProgramTest, WritesPlainLinesWhereThereIsNoTerminal) {
  auto pull = Start({"pull", "hf://org/name"});
  auto observer = engine_.WaitForAcquire(0).observer.lock();
  ASSERT_TRUE(observer);
  observer->OnResolving();
  ASSERT_TRUE(pull->WaitForError("hf://org/name: asking the source\n"));
  observer->OnFilling("id", "rev", At(30 * kMiB));
  ASSERT_TRUE(pull->WaitForError(
      "hf://org/name: 30.0/87.0 MiB (34 %), 10.0 MiB/s, 6.0 s left, 3 of 12 files\n"));
  observer->OnDone(ReadyTree(87 * kMiB));
  ProgramResult result = pull->Wait();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, Not(HasSubstr("\r")));
}

TEST_F(PullProgramTest, DrawsABarThatFitsAndRemovesIt) {
  auto pull = Start({"pull", "hf://org/name"}, SpawnedProgram::Errors::kTerminal);
  auto observer = engine_.WaitForAcquire(0).observer.lock();
  ASSERT_TRUE(observer);
  observer->OnResolving();
  ASSERT_TRUE(pull->WaitForError("asking the source"));
  observer->OnFilling("id", "rev", At(30 * kMiB));
  ASSERT_TRUE(pull->WaitForError("34 %"));
  observer->OnDone(ReadyTree(87 * kMiB));
  ProgramResult result = pull->Wait();
  EXPECT_EQ(result.exit_code, 0);
  constexpr const char* kErase = "\r\x1b[K";
  EXPECT_TRUE(result.err.ends_with(kErase)) << result.err;
  EXPECT_THAT(result.err, HasSubstr("[==="));
  EXPECT_THAT(result.err, Not(HasSubstr("\n")));
  std::istringstream drawn(result.err);
  for (std::string line; std::getline(drawn, line, '\r');) {
    EXPECT_LT(line.size(), SpawnedProgram::kTerminalColumns + std::string("\x1b[K").size()) << line;
  }
}

TEST_F(PullProgramTest, QuietShowsNoProgress) {
  auto pull = Start({"pull", "hf://org/name", "-q"});
  auto observer = engine_.WaitForAcquire(0).observer.lock();
  ASSERT_TRUE(observer);
  observer->OnFilling("id", "rev", At(kMiB));
  observer->OnDone(ReadyTree(87 * kMiB));
  EXPECT_EQ(pull->Wait().err, "");
}

TEST_F(PullProgramTest, AnInterruptLeavesTheFillToTheDaemon) {
  auto pull = Start({"pull", "hf://org/name"}, SpawnedProgram::Errors::kTerminal);
  auto observer = engine_.WaitForAcquire(0).observer.lock();
  ASSERT_TRUE(observer);
  observer->OnFilling("id", "rev", At(30 * kMiB));
  ASSERT_TRUE(pull->WaitForError("34 %"));
  pull->Signal(SIGINT);
  ProgramResult result = pull->Wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.err,
              HasSubstr("\r\x1b[Kweighhouse: interrupted: the fill goes on in the daemon"));
}

TEST_F(PullProgramTest, ATerminationHasItsOwnExitCode) {
  auto pull = Start({"pull", "hf://org/name", "--output", "json"});
  auto observer = engine_.WaitForAcquire(0).observer.lock();
  ASSERT_TRUE(observer);
  observer->OnResolving();
  ASSERT_TRUE(pull->WaitForError("asking"));
  pull->Signal(SIGTERM);
  ProgramResult result = pull->Wait();
  EXPECT_EQ(result.exit_code, 143);
  EXPECT_EQ(json::parse(result.out)["error"]["code"], "CANCELLED");
}

TEST_F(PullProgramTest, AStoppingDaemonIsTemporary) {
  auto pull = Start({"pull", "hf://org/name"});
  engine_.WaitForAcquire(0);
  server_->Drain(std::chrono::seconds(10));
  ProgramResult result = pull->Wait();
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_THAT(result.err, HasSubstr("the cache daemon is stopping: try again"));
}

}  // namespace
}  // namespace weighhouse::cli
