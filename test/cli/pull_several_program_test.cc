#include <signal.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "test/cli/served_engine.h"

namespace weighhouse::cli {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

AcquiredTree TreeOf(char id) {
  return {.snapshot_id = std::string(64, id),
          .revision = std::string(40, 'c'),
          .tree = "trees/files/" + std::string(64, id),
          .bytes = kMiB,
          .bytes_fetched = kMiB,
          .files = 2};
}

/// `pull` of several models, and `--keep`. An engine that has all models but those named "bad…".
class PullSeveralTest : public ServedEngineTest {
 protected:
  PullSeveralTest() {
    engine_.on_acquire = [](const AcquireRequest& request, AcquireObserver& observer) {
      const std::string& uri = request.model.uri;
      if (uri.ends_with("/waits")) return;
      if (uri.ends_with("/bad-for-now"))
        return observer.OnDone(Fail(Code::kUnavailable, "the source is away"));
      if (uri.contains("/bad")) return observer.OnDone(Fail(Code::kNotFound, "no model " + uri));
      observer.OnDone(TreeOf('d'));
    };
  }
  std::string WithConfiguration(const std::string& text) {
    std::string file = directory_ + "/config.yaml";
    std::ofstream(file) << text;
    configuration_.file = file;
    return file;
  }
};

TEST_F(PullSeveralTest, SaysOfEachWhereItsTreeIs) {
  ProgramResult result = Run({"pull", "hf://org/a", "hf://org/b"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(StartsWith("ready: hf://org/a "), HasSubstr("\nready: hf://org/b ")));
}

TEST_F(PullSeveralTest, TheOthersGoOnWhenOneFails) {
  ProgramResult result = Run({"pull", "hf://org/bad", "hf://org/a", "hf://org/bad-for-now"});
  EXPECT_EQ(result.exit_code, 1) << "what can't be mended by trying again counts";
  EXPECT_THAT(result.out, StartsWith("ready: hf://org/a "));
  EXPECT_THAT(result.err, HasSubstr("weighhouse: no model hf://org/bad\n"));
  EXPECT_THAT(result.err, HasSubstr("weighhouse: hf://org/bad-for-now: the source is away\n"));
  EXPECT_EQ(Run({"pull", "hf://org/bad-for-now", "hf://org/a"}).exit_code, 3);
}

TEST_F(PullSeveralTest, JsonHasEachInTheOrderOfTheArguments) {
  ProgramResult result = Run({"pull", "hf://org/a", "hf://org/bad", "--output", "json"});
  EXPECT_EQ(result.exit_code, 1);
  json pulls = json::parse(result.out)["pulls"];
  ASSERT_EQ(pulls.size(), 2u);
  EXPECT_EQ(pulls[0]["snapshot_id"], std::string(64, 'd'));
  EXPECT_EQ(pulls[1]["model"], "hf://org/bad");
  EXPECT_EQ(pulls[1]["error"]["code"], "NOT_FOUND");
}

TEST_F(PullSeveralTest, AnInterruptIsToldOfThoseThatWait) {
  SpawnedProgram pull("weighhouse", WithSocket({"pull", "hf://org/a", "hf://org/waits"}));
  size_t waiting = engine_.WaitForAcquire(0).request.model.uri.ends_with("/waits") ? 0 : 1;
  auto observer = engine_.WaitForAcquire(waiting).observer.lock();
  ASSERT_TRUE(observer);
  observer->OnResolving();
  ASSERT_TRUE(pull.WaitForError("asking"));
  pull.Signal(SIGINT);
  ProgramResult result = pull.Wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.err,
              HasSubstr("weighhouse: hf://org/waits: interrupted: the fill goes on in the daemon"));
}

TEST_F(PullSeveralTest, ATokenFromAPipeIsForAllOfThem) {
  std::string file = directory_ + "/token";
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  SpawnedProgram pull("weighhouse",
                      WithSocket({"pull", "hf://org/a", "hf://org/b", "--token-file", file}));
  std::ofstream(file) << "hf_secret\n";
  EXPECT_EQ(pull.Wait().exit_code, 0);
  for (size_t i : {0, 1})
    EXPECT_EQ(engine_.WaitForAcquire(i).request.credentials.values.at("HF_TOKEN"), "hf_secret");
}

TEST_F(PullSeveralTest, KeepPrintsOneFileForKubectl) {
  WithConfiguration("keep:\n- hf://org/old # why\n");
  ProgramResult result = Run({"pull", "hf://org/a", "hf://org/b", "--keep"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(StartsWith("# ready: hf://org/a"), HasSubstr("# ready: hf://org/b")));
  EXPECT_EQ(YAML::Load(result.out)["data"]["config.yaml"].as<std::string>(),
            "keep:\n- hf://org/old # why\n- \"hf://org/a\"\n- \"hf://org/b\"\n");
}

TEST_F(PullSeveralTest, KeepNamesTheRevision) {
  WithConfiguration("");
  ProgramResult result =
      Run({"pull", "hf://org/a", "--revision", "v1", "--keep", "--output", "json"});
  json pulled = json::parse(result.out);
  EXPECT_EQ(pulled["model"], "hf://org/a@v1");
  EXPECT_EQ(pulled["keep_patch"]["data"]["config.yaml"], "keep:\n- \"hf://org/a@v1\"\n");
}

TEST_F(PullSeveralTest, KeepTakesTheFileThatIsNamed) {
  std::string file = directory_ + "/mine.yaml";
  std::ofstream(file) << "log:\n  level: debug\n";
  ProgramResult result = Run({"pull", "hf://org/a", "--keep", "--config", file});
  EXPECT_THAT(result.out, HasSubstr("    log:\n      level: debug\n    keep:\n"));
}

TEST_F(PullSeveralTest, WhatCannotBeKeptIsNotPulled) {
  auto refused = [&](const std::string& said) {
    ProgramResult result = Run({"pull", "hf://org/waits", "--keep"});
    EXPECT_NE(result.exit_code, 0);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, AllOf(StartsWith("weighhouse: "), HasSubstr(said)));
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1);
  };
  refused("the daemon has no configuration file: name the one to change with --config FILE");
  configuration_.file = directory_ + "/elsewhere.yaml";
  refused("name it as it is called here, or a copy, with --config FILE");
  WithConfiguration("{log: {level: info}}");
  refused("by hand");
}

TEST_F(PullSeveralTest, WhatIsKeptAlreadyNeedsNoPatch) {
  WithConfiguration("keep: [hf://org/a]\n");
  ProgramResult result = Run({"pull", "hf://org/a", "--keep", "--output", "json"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(json::parse(result.out)["keep_patch"].is_null());
  EXPECT_THAT(result.err, HasSubstr("has that already: hf://org/a"));
}

TEST_F(PullSeveralTest, OneThatFailsLeavesNoPatch) {
  WithConfiguration("");
  ProgramResult result = Run({"pull", "hf://org/a", "hf://org/bad", "--keep"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, AllOf(StartsWith("# ready: hf://org/a "), Not(HasSubstr("data:"))));
  EXPECT_THAT(result.err, HasSubstr("no patch that keeps them: not all were pulled"));
}

}  // namespace
}  // namespace weighhouse::cli
