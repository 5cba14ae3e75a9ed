#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "test/cli/spawned_program.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// The program with its own engine, on a cache and a model below one directory.
class LocalProgramTest : public ::testing::Test {
 protected:
  LocalProgramTest() {
    std::filesystem::create_directories(directory_ + "/model");
    std::ofstream(directory_ + "/model/config.json") << "{}";
    std::ofstream(directory_ + "/model/model.safetensors") << std::string(100000, 'x');
  }
  ProgramResult Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--root", directory_ + "/parent/cache"});
    return RunProgram("weighhouse", arguments);
  }
  std::string Model() const { return "file://" + directory_ + "/model"; }

  const TemporaryDirectory temporary_;
  const std::string directory_ = temporary_.path().string();
};

TEST_F(LocalProgramTest, PullsListsVerifiesAndEvictsWithoutADaemon) {
  ProgramResult pulled = Run({"pull", Model(), "--output", "json"});
  ASSERT_EQ(pulled.exit_code, 0) << pulled.err;
  json first = json::parse(pulled.out);
  std::string tree = first["tree"];
  EXPECT_TRUE(tree.starts_with(directory_ + "/parent/cache/trees/files/")) << tree;
  EXPECT_EQ(std::filesystem::file_size(tree + "/model.safetensors"), 100000u);
  struct stat status{};
  ASSERT_EQ(::stat((tree + "/model.safetensors").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777u, 0444u);

  json second = json::parse(Run({"pull", Model(), "--output", "json"}).out);
  EXPECT_EQ(second["bytes_fetched"], 0);
  EXPECT_EQ(second["tree"], tree);
  json listed = json::parse(Run({"ls", "--output", "json"}).out);
  ASSERT_EQ(listed["snapshots"].size(), 1u);
  EXPECT_EQ(listed["snapshots"][0]["state"], "complete");
  EXPECT_EQ(Run({"verify", "--all"}).exit_code, 0);
  EXPECT_EQ(Run({"evict", Model()}).exit_code, 0);
  EXPECT_TRUE(json::parse(Run({"ls", "--output", "json"}).out)["snapshots"].empty());
}

TEST_F(LocalProgramTest, VerifyFindsAByteThatChanged) {
  json pulled = json::parse(Run({"pull", Model(), "--output", "json"}).out);
  std::string file = pulled["tree"].get<std::string>() + "/config.json";
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  std::ofstream(file) << "[]";
  ProgramResult verified = Run({"verify", "--all"});
  EXPECT_EQ(verified.exit_code, 1);
  EXPECT_THAT(verified.out, HasSubstr("bad: sha256:" + Digest::Of("{}").Hex()));
  EXPECT_THAT(verified.out, HasSubstr("/config.json"));
}

TEST_F(LocalProgramTest, AModelThatIsNotThereFailsForGood) {
  ProgramResult result = Run({"pull", "file:///nonexistent/model"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/nonexistent/model"));
}

TEST_F(LocalProgramTest, ARootThatCannotBeIsOneClearError) {
  std::ofstream(directory_ + "/parent") << "a file";
  ProgramResult result = Run({"ls"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr(directory_ + "/parent/cache"));
}

}  // namespace
}  // namespace weighhouse::cli
