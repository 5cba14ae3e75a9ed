#include <yaml-cpp/yaml.h>

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "test/cli/served_engine.h"

namespace weighhouse::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class KeepProgramTest : public ServedEngineTest {
 protected:
  KeepProgramTest() {
    std::ofstream(file_) << "# of the node\nkeep:\n- hf://org/old\n";
    configuration_.file = file_;
  }
  const std::string file_ = directory_ + "/config.yaml";
};

TEST_F(KeepProgramTest, PrintsAPatchOfTheDaemonsFile) {
  ProgramResult added = Run({"keep", "hf://org/new"});
  EXPECT_EQ(added.exit_code, 0) << added.err;
  EXPECT_THAT(added.out, StartsWith("# kubectl --namespace weighhouse-system patch configmap "));
  EXPECT_EQ(YAML::Load(added.out)["data"]["config.yaml"].as<std::string>(),
            "# of the node\nkeep:\n- hf://org/old\n- \"hf://org/new\"\n");
  ProgramResult removed = Run({"keep", "hf://org/old", "--remove", "--output", "json"});
  EXPECT_EQ(json::parse(removed.out)["data"]["config.yaml"], "# of the node\nkeep: []\n");
}

TEST_F(KeepProgramTest, AFileThatIsNamedNeedsNoDaemon) {
  ProgramResult result = RunProgram(
      "weighhouse", {"keep", "hf://org/new", "--config", file_, "--socket", "/nonexistent"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("- \"hf://org/new\"\n"));
}

TEST_F(KeepProgramTest, ErrorsSayWhatIsThere) {
  ProgramResult result = Run({"keep", "hf://org/old"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("the list of what is kept has that already: hf://org/old"));
  result = Run({"keep", "--remove", "hf://org/none", "--output", "json"});
  EXPECT_EQ(json::parse(result.out)["error"]["code"], "NOT_FOUND");
  std::ofstream(file_) << "keeep: []\n";
  result = Run({"keep", "hf://org/new"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("config.yaml:1: unknown key keeep: did you mean keep?"));
}

TEST_F(KeepProgramTest, ScriptsAndTheManualPageNeedNoDaemon) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    ProgramResult text = RunProgram("weighhouse", {"completion", shell});
    EXPECT_EQ(text.exit_code, 0);
    json object =
        json::parse(RunProgram("weighhouse", {"completion", shell, "--output", "json"}).out);
    EXPECT_EQ(object, json({{"shell", shell}, {"script", text.out}}));
    EXPECT_THAT(text.out, HasSubstr(std::string(shell) + " completion for weighhouse"));
  }
  ProgramResult page = RunProgram("weighhouse", {"man"});
  EXPECT_THAT(page.out, HasSubstr(".TH WEIGHHOUSE 1"));
  EXPECT_EQ(json::parse(RunProgram("weighhouse", {"man", "--output", "json"}).out)["page"],
            page.out);
}

}  // namespace
}  // namespace weighhouse::cli
