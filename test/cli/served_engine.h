#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "cache-daemon/api/server.h"
#include "test/cache-daemon/api/fake_engine.h"
#include "test/cli/spawned_program.h"
#include "test/support/callback_queue.h"

namespace weighhouse::cli {

/// A FakeEngine behind real sockets, and the program talking to them.
class ServedEngineTest : public ::testing::Test {
 protected:
  ServedEngineTest() {
    KeepCallbackQueue();
    std::string pattern = ::testing::TempDir() + "/cli.XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    Result<std::unique_ptr<api::Server>> server =
        api::Server::Start(engine_, {.socket_directory = directory_,
                                     .allowed_uids = {},
                                     .configuration = [this] { return configuration_; },
                                     .recent_errors = [this] { return recent_errors_; }});
    if (!server) ADD_FAILURE() << server.error().message;
    if (server) server_ = std::move(*server);
  }
  ~ServedEngineTest() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::vector<std::string> WithSocket(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--socket", directory_ + "/admin.sock"});
    return arguments;
  }
  ProgramResult Run(std::vector<std::string> arguments,
                    const std::vector<std::string>& environment = {}) const {
    return RunProgram("weighhouse", WithSocket(std::move(arguments)), environment);
  }

  std::string directory_;
  FakeEngine engine_;
  api::ConfigurationStatus configuration_;       // set before a program asks
  std::vector<api::RecentError> recent_errors_;  // the same
  std::unique_ptr<api::Server> server_;
};

}  // namespace weighhouse::cli
