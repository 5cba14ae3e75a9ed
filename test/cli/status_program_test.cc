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

class StatusProgramTest : public ServedEngineTest {};

TEST_F(StatusProgramTest, IsOneScreenOfSpaceModelsPodsAndWhatWentWrong) {
  engine_.snapshots.push_back(FakeSnapshot("org/name", 12 * kMiB, true));
  engine_.snapshots.back().leases.push_back(
      {.volume_id = "v", .pod_namespace = "team", .pod_name = "pod-a"});
  recent_errors_ = {{.time = SystemClock().Now(),
                     .level = "error",
                     .message = "acquire hf://org/gone: NOT_FOUND: no such model",
                     .times = 2}};
  ProgramResult text = Run({"status"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("\nspace        ["));
  EXPECT_THAT(text.out, HasSubstr("\nfills        none\n"));
  EXPECT_THAT(text.out, HasSubstr("\nmodels       1, 1 complete\n  MODEL "));
  EXPECT_THAT(text.out, HasSubstr("\n  team/pod-a  hf://org/name@cccccccccccc\n"));
  EXPECT_THAT(text.out, HasSubstr("\nwent wrong   1 lately\n  just now, error: acquire "
                                  "hf://org/gone: NOT_FOUND: no such model (2 times)\n"));
  EXPECT_THAT(text.out, Not(HasSubstr("\x1b"))) << "no colours in a pipe";
  json status = json::parse(Run({"status", "--output=json"}).out);
  EXPECT_EQ(status["snapshots"][0]["leases"][0]["pod_name"], "pod-a");
  EXPECT_EQ(status["fills"], json::array());
  EXPECT_EQ(status["info"]["recent_errors"][0]["times"], 2);
  EXPECT_EQ(status["info"]["recent_errors"][0]["message"], recent_errors_[0].message);
}

TEST_F(StatusProgramTest, TopPrintsBlocksWhereNothingCanBeRedrawn) {
  ProgramResult result = Run({"top", "--interval", "0.1", "--count", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, MatchesRegex("version .*\n\nversion .*"));
  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
}

TEST_F(StatusProgramTest, TopWithoutADaemonSaysSoAtOnce) {
  ProgramResult result = RunProgram("weighhouse", {"top", "--socket", directory_ + "/none"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("no daemon at"));
}

TEST_F(StatusProgramTest, ListsInTheOrderThatIsAskedFor) {
  engine_.snapshots = {FakeSnapshot("org/b", 1 * kMiB, true),
                       FakeSnapshot("org/a", 2 * kMiB, true)};
  auto order = [this](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"ls", "--output=json"});
    json list = json::parse(Run(flags).out)["snapshots"];
    return list[0]["references"][0].get<std::string>() + " " +
           list[1]["references"][0].get<std::string>();
  };
  EXPECT_EQ(order({}), "hf://org/b@main hf://org/a@main");
  EXPECT_EQ(order({"--sort=name"}), "hf://org/a@main hf://org/b@main");
  EXPECT_EQ(order({"--sort=size", "--reverse"}), "hf://org/b@main hf://org/a@main");
}

TEST_F(StatusProgramTest, DiskUsageSaysWhatIsOwnedAndWhatIsShared) {
  engine_.snapshots = {FakeSnapshot("org/a", 3 * kMiB, true),
                       FakeSnapshot("org/b", 2 * kMiB, true)};
  engine_.usage.shared = kMiB;
  engine_.usage.snapshots[engine_.snapshots[0].snapshot.id] = {.own = 2 * kMiB, .shared = kMiB};
  engine_.usage.snapshots[engine_.snapshots[1].snapshot.id] = {.own = kMiB, .shared = kMiB};
  engine_.space->used = 5 * kMiB;
  ProgramResult text = Run({"du"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("hf://org/a  cccccccccccc  2.0 MiB  1.0 MiB  complete  "));
  EXPECT_THAT(text.out, HasSubstr("\nown     3.0 MiB: "));
  EXPECT_THAT(text.out, HasSubstr("\nshared  1.0 MiB: "));
  EXPECT_THAT(text.out, HasSubstr("\nother   1.0 MiB: "));
  json usage = json::parse(Run({"du", "--output=json"}).out);
  EXPECT_EQ(usage["snapshots"][1]["bytes_own"], kMiB);
  EXPECT_EQ(usage["bytes_own"], 3 * kMiB);
  EXPECT_EQ(usage["bytes_shared"], kMiB);
  EXPECT_EQ(usage["bytes_other"], kMiB);
  EXPECT_EQ(usage["bytes_used"], 5 * kMiB);
  EXPECT_FALSE(json::parse(Run({"ls", "--output=json"}).out)["snapshots"][0].contains("bytes_own"));
}

}  // namespace
}  // namespace weighhouse::cli
