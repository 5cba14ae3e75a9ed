#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "test/cli/served_engine.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

class ProgramTest : public ServedEngineTest {};

StatView TwoFiles() {
  StatView view;
  view.listing.origin = "hf+https://huggingface.co/org/name";
  view.listing.revision = std::string(40, 'c');
  view.snapshot_id = std::string(64, 'd');
  FileIdentity identity{.kind = FileIdentity::Kind::kSha256, .value = std::string(64, 'e')};
  view.files.push_back(
      {.listed = {.path = "model.safetensors", .size = 90 * kMiB, .identity = identity},
       .present = true,
       .selected = true});
  view.files.push_back({.listed = {.path = "model.onnx", .size = 10 * kMiB, .identity = identity}});
  view.bytes_selected = 90 * kMiB;
  view.bytes_missing = 0;
  view.recommended_claim = kGiB;
  return view;
}

TEST_F(ProgramTest, ListsAsATable) {
  engine_.snapshots.push_back(FakeSnapshot("org/name", 12 * kMiB, true));
  engine_.snapshots.push_back(FakeSnapshot("org/other", 2 * kGiB, false));
  ProgramResult result = Run({"ls"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              MatchesRegex(
                  "MODEL +REVISION +SIZE +STATE +LAST USED +LEASES +ID\n"
                  "hf://org/name +cccccccccccc +12.0 MiB +complete +[0-9]+ d ago +0 +[0-9a-f]{12}\n"
                  "hf://org/other +cccccccccccc +2.0 GiB +incomplete 0 % .*\n"));
}

TEST_F(ProgramTest, ListsAsJson) {
  engine_.snapshots.push_back(FakeSnapshot("org/name", 12 * kMiB, true));
  engine_.snapshots.back().leases.push_back({.volume_id = "v", .pod_name = "p"});
  ProgramResult result = Run({"ls", "--output", "json"});
  EXPECT_EQ(result.exit_code, 0);
  json list = json::parse(result.out);
  ASSERT_EQ(list["snapshots"].size(), 1u);
  EXPECT_EQ(list["snapshots"][0]["bytes"], 12 * kMiB);
  EXPECT_EQ(list["snapshots"][0]["state"], "complete");
  EXPECT_EQ(list["snapshots"][0]["leases"][0]["pod_name"], "p");
}

TEST_F(ProgramTest, ShowsWhatIsKept) {
  EXPECT_THAT(Run({"status"}).out, Not(HasSubstr("keep ")));
  engine_.snapshots.push_back(FakeSnapshot("org/name", 12 * kMiB, true));
  engine_.snapshots.back().kept = true;
  engine_.info->keep = {
      {.model = "hf://org/name", .snapshot_id = engine_.snapshots[0].snapshot.id, .problem = ""},
      {.model = "hf://org/gone", .snapshot_id = "", .problem = "no such model"}};
  EXPECT_THAT(Run({"ls"}).out, HasSubstr(" complete, kept "));
  ProgramResult text = Run({"status"});
  EXPECT_THAT(text.out, HasSubstr("keep         1 of 2 models complete\n"
                                  "  hf://org/gone: no such model: trying again\n"));
  EXPECT_EQ(json::parse(Run({"ls", "--output=json"}).out)["snapshots"][0]["kept"], true);
  json keep = json::parse(Run({"status", "--output=json"}).out)["info"]["keep"];
  EXPECT_EQ(keep[0]["snapshot_id"], engine_.snapshots[0].snapshot.id);
  EXPECT_EQ(keep[1]["model"], "hf://org/gone");
  EXPECT_EQ(keep[1]["problem"], "no such model");
}

TEST_F(ProgramTest, ShowsStatusWithFillsAndFallback) {
  SnapshotView filling = FakeSnapshot("org/name", 100 * kMiB, false);
  filling.filling = fill::FillProgress{
      .bytes_total = 100 * kMiB, .bytes_done = 25 * kMiB, .bytes_per_second = 25.0 * kMiB};
  engine_.snapshots.push_back(filling);
  ProgramResult text = Run({"status"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out,
              HasSubstr("pwrite (not io_uring: io_uring_setup: Operation not permitted)"));
  EXPECT_THAT(text.out, HasSubstr("available    60.0 GiB"));
  EXPECT_THAT(
      text.out,
      HasSubstr("hf://org/name@cccccccccccc: 25.0/100.0 MiB (25 %), 25.0 MiB/s, 3.0 s left"));
  json status = json::parse(Run({"status", "--output=json"}).out);
  EXPECT_EQ(status["info"]["root"], "/cache");
  EXPECT_EQ(status["capacity"]["limit"], 100 * kGiB);
  EXPECT_EQ(status["fills"][0]["bytes_present"], 25 * kMiB);
}

TEST_F(ProgramTest, ShowsHowTheDaemonStandsToItsConfiguration) {
  configuration_.file = "/etc/weighhouse/config.yaml";
  configuration_.applied = SystemClock().Now();
  configuration_.reloads = 2;
  ProgramResult good = Run({"status"});
  EXPECT_THAT(good.out,
              HasSubstr("config       /etc/weighhouse/config.yaml, taken over just now\n"));
  EXPECT_THAT(good.out, Not(HasSubstr("NOT in effect")));
  configuration_.error = "config.yaml:2: cache.limit is 'most': give bytes";
  configuration_.failures = 1;
  configuration_.pending = {"fill.engine", "fill.loops"};
  configuration_.warnings = {"cache.minFree is 1.0 GiB"};
  ProgramResult text = Run({"status"});
  EXPECT_THAT(text.out,
              HasSubstr("NOT in effect, the last good one is: config.yaml:2: cache.limit"));
  EXPECT_THAT(text.out, HasSubstr("applies at restart: fill.engine, fill.loops\n"));
  EXPECT_THAT(text.out, HasSubstr("warning: cache.minFree is 1.0 GiB\n"));
  json status = json::parse(Run({"status", "--output=json"}).out)["info"]["configuration"];
  EXPECT_EQ(status["reloads"], 2);
  EXPECT_EQ(status["failures"], 1);
  EXPECT_EQ(status["error"], configuration_.error);
  EXPECT_EQ(status["applies_at_restart"][1], "fill.loops");
}

TEST_F(ProgramTest, InspectsWithPatternsRevisionAndToken) {
  engine_.stat_outcome = TwoFiles();
  ProgramResult result =
      Run({"inspect", "hf://org/name", "--revision", "v1", "--allow", "*.json", "--allow", "*.txt"},
          {"HF_TOKEN=hf_secret"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("model.safetensors  90.0 MiB  here"));
  EXPECT_THAT(result.out, HasSubstr("left out"));
  EXPECT_THAT(result.out, HasSubstr("claim size  1.0 GiB holds it"));
  EXPECT_EQ(engine_.stat_model->revision, "v1");
  EXPECT_EQ(engine_.stat_model->allow_patterns, (std::vector<std::string>{"*.json", "*.txt"}));
  EXPECT_FALSE(engine_.stat_model->ignore_patterns);
  EXPECT_EQ(engine_.stat_credentials.First({"HF_TOKEN"}), "hf_secret");
  EXPECT_FALSE((result.out + result.err).contains("hf_secret"));
}

TEST_F(ProgramTest, InspectSaysWhatHasNoDigest) {
  engine_.stat_outcome = TwoFiles();
  EXPECT_THAT(Run({"inspect", "s3://bucket/m"}).out, Not(HasSubstr("no digest")));
  FileIdentity version{.kind = FileIdentity::Kind::kVersionToken, .value = "etag e of a"};
  for (auto& file : engine_.stat_outcome->files) file.listed.identity = version;
  EXPECT_THAT(Run({"inspect", "s3://bucket/m"}).out,
              HasSubstr("no digest   of 1 in the source's list"));
}

TEST_F(ProgramTest, TakesTheTokenFromAFile) {
  engine_.stat_outcome = TwoFiles();
  std::ofstream(directory_ + "/token") << "hf_file\n";
  ProgramResult result =
      Run({"inspect", "hf://org/name", "--token-file", directory_ + "/token", "--output", "json"},
          {"HF_TOKEN=hf_environment"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(engine_.stat_credentials.First({"HF_TOKEN"}), "hf_file");
  json stat = json::parse(result.out);
  EXPECT_EQ(stat["files"][1]["selected"], false);
  EXPECT_EQ(stat["recommended_claim_bytes"], kGiB);
}

TEST_F(ProgramTest, EvictsByReferenceAndByTheBeginningOfAnId) {
  engine_.snapshots.push_back(FakeSnapshot("org/name", 12 * kMiB, true));
  engine_.evict_outcome = Engine::EvictOutcome{.snapshots = 1, .bytes = 12 * kMiB};
  ProgramResult by_model = Run({"evict", "hf://org/name"});
  EXPECT_EQ(by_model.exit_code, 0) << by_model.err;
  EXPECT_EQ(by_model.out, "evicted: 1 snapshot, 12.0 MiB freed\n");
  EXPECT_EQ(engine_.evicted_model, "hf://org/name");
  std::string id = engine_.snapshots[0].snapshot.id;
  ProgramResult by_id = Run({"evict", id.substr(0, 8), "--output", "json"});
  EXPECT_EQ(json::parse(by_id.out)["bytes_freed"], 12 * kMiB);
  EXPECT_EQ(engine_.evicted_snapshot_id, id);
}

TEST_F(ProgramTest, AFailureForGoodIsOneLineAndOneObject) {
  engine_.evict_outcome = Fail(Code::kFailedPrecondition, "hf://org/name is leased by 2 volumes");
  ProgramResult result = Run({"evict", "hf://org/name", "--output", "json"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "weighhouse: hf://org/name is leased by 2 volumes\n");
  EXPECT_EQ(json::parse(result.out)["error"]["code"], "FAILED_PRECONDITION");
}

TEST_F(ProgramTest, ATemporaryFailureHasItsOwnExitCode) {
  engine_.stat_outcome = Fail(Code::kUnavailable, "huggingface.co is away: try again");
  EXPECT_EQ(Run({"inspect", "hf://org/name"}).exit_code, 3);
}

TEST_F(ProgramTest, AMalformedModelIsWrongUsage) {
  ProgramResult result = Run({"inspect", "org/name"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("org/name"));
}

TEST_F(ProgramTest, VerifyReportsWhatIsBad) {
  engine_.findings.push_back(
      {.blob = Digest::Of("x"), .found = "sha256:ffff", .paths = {"id/model.safetensors"}});
  engine_.verify_outcome = VerifySums{.blobs = 7, .bad = 1, .bytes = 3 * kMiB};
  ProgramResult text = Run({"verify", "--all"});
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_THAT(text.out, HasSubstr("bad: sha256:" + Digest::Of("x").Hex() +
                                  ": sha256:ffff\n  id/model.safetensors\n"));
  EXPECT_THAT(text.out, HasSubstr("verified: 7 blobs, 3.0 MiB: 1 bad"));
  json verified = json::parse(Run({"verify", "--all", "--output", "json"}).out);
  EXPECT_EQ(verified["bad"], 1);
  EXPECT_EQ(verified["findings"][0]["paths"][0], "id/model.safetensors");
}

TEST_F(ProgramTest, VerifyShowsHowFarItIsAndPassesTheRateOn) {
  engine_.verify_progress = {.blobs = 1, .blobs_total = 3, .bytes = kGiB, .bytes_total = 4 * kGiB};
  ProgramResult result = Run({"verify", "--all", "--rate", "100Mi"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("verify: 1.0/4.0 GiB (25 %)"));
  EXPECT_EQ(engine_.verified->bytes_per_second, 100 * kMiB);
}

TEST_F(ProgramTest, StatusNamesThePodsThatReadDamagedFiles) {
  IntegrityView& integrity = engine_.info->integrity;
  integrity.damaged.push_back({.holder = {.volume_id = "v",
                                          .target_path = "/pods/x/mount",
                                          .pod_namespace = "default",
                                          .pod_name = "reader",
                                          .pod_uid = "u"},
                               .snapshot_id = std::string(64, 'd'),
                               .tree = "trees/files/d"});
  integrity.quarantine = {.blobs = 1, .bytes = 3 * kMiB};
  integrity.scrub = {.daily_bytes = 100 * kGiB, .bytes_today = kGiB, .failures = 1};
  std::string text = Run({"status"}).out;
  EXPECT_THAT(text, HasSubstr("scrub        no full pass yet, 1.0 GiB of 100.0 GiB today, 1 bad"));
  EXPECT_THAT(text, HasSubstr("quarantine   1 bad files, 3.0 MiB"));
  EXPECT_THAT(text, HasSubstr("default/reader: /pods/x/mount (snapshot dddddddddddd)"));
  json status = json::parse(Run({"status", "--output", "json"}).out);
  EXPECT_EQ(status["info"]["integrity"]["damaged"][0]["holder"]["pod_name"], "reader");
}

TEST_F(ProgramTest, EvictsTheQuarantine) {
  engine_.quarantine_freed = 12 * kMiB;
  EXPECT_EQ(Run({"evict", "--quarantine"}).out, "evicted: the quarantine, 12.0 MiB freed\n");
}

TEST_F(ProgramTest, VerifyOfGoodBlobsSucceeds) {
  engine_.snapshots.push_back(FakeSnapshot("org/name", 12 * kMiB, true));
  engine_.verify_outcome = VerifySums{.blobs = 1, .bytes = 12 * kMiB};
  ProgramResult result = Run({"verify", "hf://org/name"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "verified: 1 blob, 12.0 MiB: all right\n");
  ProgramResult unknown = Run({"verify", "hf://org/unknown"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("hf://org/unknown is not in the cache"));
}

TEST_F(ProgramTest, SaysWhenNoDaemonAnswers) {
  server_.reset();
  ProgramResult result = Run({"ls", "--output", "json"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err,
              HasSubstr("weighhouse: no daemon at " + directory_ + "/admin.sock: No such file"));
  EXPECT_THAT(result.err, HasSubstr("--root DIR"));
  EXPECT_EQ(json::parse(result.out)["error"]["code"], "UNAVAILABLE");
}

TEST(ProgramUsageTest, SuggestsTheNearestCommandAndFlag) {
  ProgramResult command = RunProgram("weighhouse", {"pul", "hf://org/name"});
  EXPECT_EQ(command.exit_code, 2);
  EXPECT_EQ(command.err, "weighhouse: unknown command 'pul': did you mean pull?\n");
  ProgramResult flag = RunProgram("weighhouse", {"pull", "hf://org/name", "--revison", "x"});
  EXPECT_EQ(flag.exit_code, 2);
  EXPECT_EQ(flag.err, "weighhouse: unknown flag '--revison': did you mean --revision?\n");
}

TEST(ProgramUsageTest, NeedsNoDaemonForItsVersion) {
  EXPECT_EQ(RunProgram("weighhouse", {"version"}).out, "weighhouse " WEIGHHOUSE_VERSION "\n");
  EXPECT_EQ(json::parse(RunProgram("weighhouse", {"version", "--output", "json"}).out)["version"],
            WEIGHHOUSE_VERSION);
  EXPECT_EQ(RunProgram("weighhouse", {"--version"}).exit_code, 0);
}

class ConfigProgramTest : public ::testing::Test {
 protected:
  ProgramResult Check(const std::string& text, std::vector<std::string> more = {}) {
    WriteTestFile(file_, text);
    more.insert(more.begin(), {"config", "check", file_});
    return RunProgram("weighhouse", more);
  }
  TemporaryDirectory directory_;
  const std::string file_ = directory_ / "config.yaml";
};

TEST_F(ConfigProgramTest, AFileThatTheDaemonWouldTakeIsValid) {
  ProgramResult text = Check("cache:\n  limit: 80%\noverrides:\n  - match: {nodeName: a}\n");
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_EQ(text.out, file_ + ": valid\n");
  ProgramResult checked = Check("cache: {limit: 80%}", {"--output", "json"});
  EXPECT_EQ(json::parse(checked.out),
            json({{"file", file_}, {"keys", {"cache.limit"}}, {"overrides", 0}}));
}

TEST_F(ConfigProgramTest, AMistakeIsWrongUsageAndNamesLineKeyValueAndWhatIsAllowed) {
  ProgramResult text = Check("cache:\n  root: /x\nfill:\n  files: many\n");
  EXPECT_EQ(text.exit_code, 2);
  EXPECT_EQ(text.err,
            "weighhouse: " + file_ + ":4: fill.files is 'many': give a number from 1 to 64\n");
  EXPECT_EQ(text.out, "");
  ProgramResult unknown = Check("cache: {limt: 1Gi}", {"--output=json"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_EQ(json::parse(unknown.out)["error"]["message"],
            file_ + ":1: unknown key cache.limt: did you mean cache.limit?");
}

TEST_F(ConfigProgramTest, AFileThatIsNotThereIsWrongUsageToo) {
  ProgramResult result = RunProgram("weighhouse", {"config", "check", "/nonexistent"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("/nonexistent: No such file"));
}

TEST_F(ConfigProgramTest, ListsItsKeys) {
  EXPECT_THAT(RunProgram("weighhouse", {"config", "keys"}).out, HasSubstr("| `cache.limit` | "));
  json keys = json::parse(RunProgram("weighhouse", {"config", "keys", "--output", "json"}).out);
  EXPECT_EQ(keys["keys"][0]["name"], "cache.root");
  EXPECT_EQ(keys["keys"][0]["takes_effect"], "restart");
}

TEST_F(ConfigProgramTest, SuggestsTheNearestCommandBelowConfig) {
  ProgramResult unknown = RunProgram("weighhouse", {"config", "chek", file_});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_EQ(unknown.err, "weighhouse: unknown command 'chek': did you mean check?\n");
  EXPECT_EQ(RunProgram("weighhouse", {"config"}).exit_code, 2);
}

TEST(ProgramUsageTest, ExplainsItselfWithoutArguments) {
  ProgramResult result = RunProgram("weighhouse", {});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("Exit codes: 0 done"));
  EXPECT_EQ(RunProgram("weighhouse", {"pull", "--help"}).exit_code, 0);
}

}  // namespace
}  // namespace weighhouse::cli
