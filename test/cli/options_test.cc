#include "cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::expected<Options, Printout> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "weighhouse");
  return ParseOptions(static_cast<int>(arguments.size()), arguments.data());
}

std::string MistakeOf(std::vector<const char*> arguments) {
  auto parsed = Parse(std::move(arguments));
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().exit_code, 2);
  return parsed.error().text;
}

TEST(OptionsTest, GlobalFlagsMayStandBeforeAndBehindTheCommand) {
  auto before = Parse({"--output", "json", "--socket", "/s", "ls"}).value();
  auto behind = Parse({"ls", "--output", "json", "--socket=/s"}).value();
  for (const Options& options : {before, behind}) {
    EXPECT_EQ(options.command, Command::kList);
    EXPECT_EQ(options.output, Output::kJson);
    EXPECT_EQ(options.socket, "/s");
  }
}

TEST(OptionsTest, TakesAPull) {
  auto options = Parse({"pull",
                        "hf://org/name",
                        "--revision",
                        "v1",
                        "--allow",
                        "*.json",
                        "--ignore",
                        "a",
                        "--ignore",
                        "b",
                        "--token-file",
                        "/t",
                        "--layout",
                        "hub",
                        "-q",
                        "--root",
                        "/r",
                        "--hf-endpoint",
                        "http://localhost",
                        "--bandwidth-limit",
                        "10Mi"})
                     .value();
  EXPECT_EQ(options.command, Command::kPull);
  EXPECT_EQ(options.models, (std::vector<std::string>{"hf://org/name"}));
  EXPECT_EQ(options.allow, (std::vector<std::string>{"*.json"}));
  EXPECT_EQ(options.ignore, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options.token_file, "/t");
  EXPECT_EQ(options.layout, Layout::kHub);
  EXPECT_TRUE(options.quiet);
  EXPECT_EQ(options.root, "/r");
  EXPECT_EQ(options.bandwidth_limit, 10 * kMiB);
}

TEST(OptionsTest, TakesSeveralModels) {
  auto options = Parse({"pull", "hf://org/a", "-q", "hf://org/b", "--token-file", "/t"}).value();
  EXPECT_EQ(options.models, (std::vector<std::string>{"hf://org/a", "hf://org/b"}));
  EXPECT_EQ(options.token_file, "/t");
  EXPECT_THAT(MistakeOf({"pull", "hf://org/a", "hf://org/b", "--revision", "v1"}),
              HasSubstr("--revision is for one model"));
  EXPECT_THAT(MistakeOf({"pull", "hf://org/a", "oci://r/b", "--token-file", "/t"}),
              HasSubstr("--token-file is for models of one source"));
  EXPECT_THAT(MistakeOf({"pull", "https://a/x", "https://b/x", "--token-file", "/t"}),
              HasSubstr("--token-file is for models of one source"));
}

TEST(OptionsTest, TakesWhatIsToBeKept) {
  auto options = Parse({"keep", "hf://org/a", "hf://org/b", "--remove", "--config=/c"}).value();
  EXPECT_EQ(options.models, (std::vector<std::string>{"hf://org/a", "hf://org/b"}));
  EXPECT_TRUE(options.keep.remove);
  EXPECT_EQ(options.keep.file, "/c");
  EXPECT_TRUE(Parse({"keep", "--list"})->keep.list);
  EXPECT_TRUE(Parse({"keep", "a", "--root", "/r", "--config", "/c"}).has_value());
  EXPECT_THAT(MistakeOf({"keep"}), HasSubstr("give models, or --list"));
  EXPECT_THAT(MistakeOf({"keep", "a", "--list"}), HasSubstr("give models, or --list"));
  EXPECT_THAT(MistakeOf({"keep", "--list", "--remove"}), HasSubstr("neither --remove nor"));
  EXPECT_THAT(MistakeOf({"keep", "--list", "--root", "/r"}), HasSubstr("--root has none"));
  EXPECT_THAT(MistakeOf({"keep", "a", "--root", "/r"}), HasSubstr("with --config FILE"));
}

TEST(OptionsTest, KeepsWhatIsPulledWhereThereIsAConfiguration) {
  EXPECT_TRUE(Parse({"pull", "a", "--keep"})->keep.after_pull);
  EXPECT_EQ(Parse({"pull", "a", "--keep", "--root", "/r", "--config", "/c"})->keep.file, "/c");
  EXPECT_THAT(MistakeOf({"pull", "a", "--keep", "--root", "/r"}),
              HasSubstr("--keep needs the file to change, --config FILE"));
  EXPECT_THAT(MistakeOf({"pull", "a", "--config", "/c"}), HasSubstr("--config goes with --keep"));
  EXPECT_THAT(MistakeOf({"pull", "a", "--keep", "--allow", "*"}),
              HasSubstr("--keep goes with neither --allow nor --ignore"));
}

TEST(OptionsTest, CompletesForShellsThatItKnows) {
  EXPECT_EQ(Parse({"completion", "zsh"})->subject, "zsh");
  EXPECT_THAT(MistakeOf({"completion"}), HasSubstr("SHELL is required"));
  EXPECT_THAT(MistakeOf({"completion", "csh"}), HasSubstr("csh"));
}

TEST(OptionsTest, VerifyTakesARate) {
  EXPECT_EQ(Parse({"verify", "--all"})->rate, std::nullopt);
  EXPECT_EQ(Parse({"verify", "--all", "--rate", "0"})->rate, Bytes{0});
  EXPECT_EQ(Parse({"verify", "--all", "--rate", "100Mi"})->rate, 100 * kMiB);
}

TEST(OptionsTest, TakesAnOrder) {
  EXPECT_EQ(Parse({"ls"})->sort, std::nullopt);
  EXPECT_EQ(Parse({"ls", "--sort", "used"})->sort, SortBy::kUsed);
  EXPECT_EQ(Parse({"ls", "--sort", "state"})->sort, SortBy::kState);
  EXPECT_EQ(Parse({"du", "--sort=size"})->sort, SortBy::kSize);
  auto options = Parse({"du", "--sort", "name", "--reverse"}).value();
  EXPECT_EQ(options.command, Command::kDiskUsage);
  EXPECT_EQ(options.sort, SortBy::kName);
  EXPECT_TRUE(options.reverse);
  EXPECT_THAT(MistakeOf({"ls", "--sort", "age"}), HasSubstr("--sort"));
}

TEST(OptionsTest, TakesHowOftenToLook) {
  auto options = Parse({"top"}).value();
  EXPECT_EQ(options.interval, std::chrono::seconds(2));
  EXPECT_EQ(options.count, std::nullopt);
  options = Parse({"top", "--interval", "0.5", "--count=3"}).value();
  EXPECT_EQ(options.interval, std::chrono::milliseconds(500));
  EXPECT_EQ(options.count, 3u);
  EXPECT_THAT(MistakeOf({"top", "--interval", "0"}), HasSubstr("--interval"));
  EXPECT_THAT(MistakeOf({"top", "--interval", "nan"}), HasSubstr("--interval"));
  EXPECT_THAT(MistakeOf({"top", "--count", "0"}), HasSubstr("--count"));
  EXPECT_THAT(MistakeOf({"top", "--output", "json"}), HasSubstr("use status"));
}

TEST(OptionsTest, TakesAStorageClass) {
  auto options = Parse({"storageclass", "hf://org/name", "--layout=hub", "--access=scratch",
                        "--scratch-size=1.5Gi", "--placement=any", "--name=a.b", "--namespace=team",
                        "--access-mode=ReadWriteOncePod", "--limit=900Gi"})
                     .value();
  EXPECT_EQ(options.command, Command::kStorageClass);
  EXPECT_EQ(options.layout, Layout::kHub);
  EXPECT_TRUE(options.claim.scratch);
  EXPECT_EQ(options.claim.scratch_size, "1.5Gi");
  EXPECT_EQ(options.claim.placement, "any");
  EXPECT_EQ(options.claim.name, "a.b");
  EXPECT_EQ(options.claim.namespace_, "team");
  EXPECT_EQ(options.claim.access_mode, "ReadWriteOncePod");
  EXPECT_EQ(options.claim.limit, 900 * kGiB);
  EXPECT_EQ(Parse({"storageclass", "hf://org/name"})->claim.namespace_, "default");
}

TEST(OptionsTest, RefusesAStorageClassThatKubernetesWouldNotTake) {
  auto mistake = [](std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), {"storageclass", "hf://org/name"});
    return MistakeOf(std::move(arguments));
  };
  EXPECT_THAT(mistake({"--name", "A_b"}), HasSubstr("--name 'A_b' is no name for Kubernetes"));
  EXPECT_THAT(mistake({"--namespace", "a.b"}), HasSubstr("--namespace 'a.b'"));
  EXPECT_THAT(mistake({"--scratch-size", "1Gi"}), HasSubstr("goes with --access scratch"));
  EXPECT_THAT(mistake({"--access", "scratch", "--access-mode", "ReadOnlyMany"}),
              HasSubstr("an --access-mode that writes"));
  EXPECT_THAT(mistake({"--access", "scratch", "--scratch-size", "big"}),
              HasSubstr("'big' is not a size"));
  EXPECT_THAT(mistake({"--access", "scratch", "--scratch-size", "1023Ki"}),
              HasSubstr("--scratch-size: give 1Mi to 1024Gi"));
  EXPECT_THAT(mistake({"--limit", "0"}), HasSubstr("--limit: give more than 0 bytes"));
  EXPECT_THAT(mistake({"--limit", "1Gi", "--cached-only"}), HasSubstr("--cached-only"));
  EXPECT_THAT(mistake({"--access-mode", "RWX"}), HasSubstr("ReadWriteMany"));
  EXPECT_THAT(mistake({"--placement", "here"}), HasSubstr("--placement"));
  EXPECT_THAT(mistake({"--access", "rw"}), HasSubstr("readOnly"));
}

TEST(OptionsTest, WithoutPatternsTheDefaultsCount) {
  auto options = Parse({"pull", "hf://org/name"}).value();
  EXPECT_FALSE(options.allow.has_value());
  EXPECT_FALSE(options.ignore.has_value());
}

TEST(OptionsTest, HelpOfACommandNamesTheFlagsOfEveryCommand) {
  auto help = Parse({"pull", "--help"});
  ASSERT_FALSE(help.has_value());
  EXPECT_EQ(help.error().exit_code, 0);
  EXPECT_THAT(help.error().text,
              AllOf(HasSubstr("--layout"), HasSubstr("--root"), HasSubstr("Exit codes")));
}

TEST(OptionsTest, RefusesWhatDoesNotFit) {
  EXPECT_THAT(MistakeOf({"pull"}), HasSubstr("MODEL is required"));
  EXPECT_THAT(MistakeOf({"inspect", "a", "b"}), HasSubstr("unknown argument 'b'"));
  EXPECT_THAT(MistakeOf({"verify"}), HasSubstr("give a model or an id, or --all"));
  EXPECT_THAT(MistakeOf({"verify", "x", "--all"}), HasSubstr("give a model or an id, or --all"));
  EXPECT_THAT(MistakeOf({"verify", "--all", "--rate", "1Ki"}), HasSubstr("at least 1024Ki"));
  EXPECT_THAT(MistakeOf({"evict"}), HasSubstr("give a model or an id, or --quarantine"));
  EXPECT_THAT(MistakeOf({"evict", "x", "--quarantine"}), HasSubstr("or --quarantine"));
  EXPECT_THAT(MistakeOf({"ls", "--hf-endpoint", "http://x"}), HasSubstr("go with --root"));
  EXPECT_THAT(MistakeOf({"pull", "a", "--bandwidth-limit", "1Mi"}), HasSubstr("goes with --root"));
  EXPECT_THAT(MistakeOf({"pull", "a", "--root", "/r", "--bandwidth-limit", "fast"}),
              HasSubstr("--bandwidth-limit"));
  EXPECT_THAT(MistakeOf({"pull", "a", "--root", "/r", "--bandwidth-limit", "1Ki"}),
              HasSubstr("at least 64Ki"));
  EXPECT_THAT(MistakeOf({"ls", "--output", "yaml"}), HasSubstr("--output"));
  EXPECT_THAT(MistakeOf({"frobnicate"}),
              HasSubstr("unknown command 'frobnicate': see weighhouse --help"));
  EXPECT_THAT(MistakeOf({"stats"}), HasSubstr("did you mean status?"));
  EXPECT_THAT(MistakeOf({"--soket", "x", "ls"}), HasSubstr("did you mean --socket?"));
}

}  // namespace
}  // namespace weighhouse::cli
