#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/fault.h"
#include "proto/cache.grpc.pb.h"
#include "test/cli/spawned_program.h"

namespace weighhouse::daemon {
namespace {

namespace pb = ::weighhouse::cache::v1;
using ::testing::HasSubstr;

/// weighhouse-cached as a process, with root and sockets below one directory.
class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() {
    std::string pattern = ::testing::TempDir() + "/cached.XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~DaemonTest() override { std::filesystem::remove_all(directory_); }

  std::vector<std::string> Arguments(std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--socket-directory", directory_ + "/run", "--allow-root"});
    return more;
  }
  std::unique_ptr<SpawnedProgram> Start(std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--root", directory_ + "/cache"});
    return std::make_unique<SpawnedProgram>("weighhouse-cached", Arguments(std::move(more)));
  }
  ProgramResult RunWithConfig(const std::string& config) const {
    std::ofstream(directory_ + "/config.yaml") << config;
    return RunProgram("weighhouse-cached", Arguments({"--config", directory_ + "/config.yaml"}));
  }

  std::string directory_;
};

TEST_F(DaemonTest, ServesUntilItIsTerminated) {
  auto daemon = Start();
  ASSERT_TRUE(daemon->WaitForError("write engine ")) << daemon->Wait().err;
  auto stub = pb::Cache::NewStub(grpc::CreateChannel("unix://" + directory_ + "/run/node.sock",
                                                     grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  pb::InfoResponse info;
  grpc::Status status = stub->Info(&context, {}, &info);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(info.root(), directory_ + "/cache");
  auto signalled = std::chrono::steady_clock::now();
  daemon->Signal(SIGTERM);
  ProgramResult result = daemon->Wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_LT(std::chrono::steady_clock::now() - signalled, std::chrono::seconds(10));
  EXPECT_TRUE(std::filesystem::is_empty(directory_ + "/run"));
  EXPECT_THAT(result.err, HasSubstr("stopped"));
}

TEST_F(DaemonTest, StartsAgainAfterAKill) {
  auto killed = Start();
  ASSERT_TRUE(killed->WaitForError("write engine "));
  killed->Signal(SIGKILL);
  killed->Wait();
  auto daemon = Start();
  EXPECT_TRUE(daemon->WaitForError("write engine ")) << "the stale sockets are replaced";
}

TEST_F(DaemonTest, TheSecondOnOneRootIsRefused) {
  auto first = Start();
  ASSERT_TRUE(first->WaitForError("write engine "));
  ProgramResult second = Start()->Wait();
  EXPECT_EQ(second.exit_code, 3);
  EXPECT_THAT(second.err, HasSubstr(directory_ + "/cache"));
}

TEST_F(DaemonTest, LogsJsonWhenAsked) {
  std::ofstream(directory_ + "/config.yaml") << "log: {format: json}";
  auto daemon = Start({"--config", directory_ + "/config.yaml"});
  ASSERT_TRUE(daemon->WaitForError("write engine "));
  daemon->Signal(SIGINT);
  std::istringstream lines(daemon->Wait().err);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  }
}

TEST_F(DaemonTest, AMistakeInTheConfigurationIsExitCodeTwo) {
  ProgramResult result = RunWithConfig("cache:\n  limt: 1Gi\n");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err,
              HasSubstr("config.yaml:2: unknown key cache.limt: did you mean cache.limit?"));
}

TEST_F(DaemonTest, ARootThatCannotBeIsExitCodeThree) {
  std::ofstream(directory_ + "/cache") << "a file";
  ProgramResult result = RunWithConfig("cache: {root: " + directory_ + "/cache}\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr(directory_ + "/cache"));
}

TEST_F(DaemonTest, ASocketDirectoryThatCannotBeIsExitCodeOne) {
  std::ofstream(directory_ + "/run") << "a file";
  ProgramResult result = Start()->Wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr(directory_ + "/run"));
}

TEST_F(DaemonTest, AnAdminAddressThatCannotBeIsExitCodeOne) {
  std::ofstream(directory_ + "/config.yaml") << "admin: {listen: '192.0.2.1:9899'}";
  ProgramResult result = Start({"--config", directory_ + "/config.yaml"})->Wait();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("listen on 192.0.2.1:9899: Cannot assign requested address"));
}

TEST_F(DaemonTest, PrintsItsFaultPoints) {
  ProgramResult result = RunProgram("weighhouse-cached", {"--list-fault-points"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr(std::to_string(kFaultPoints.size()) + " fault points\n"));
}

}  // namespace
}  // namespace weighhouse::daemon
