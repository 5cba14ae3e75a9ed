#include <cstdio>
#include <cstdlib>
#include <variant>

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "cli/commands.h"
#include "cli/options.h"

namespace weighhouse::cli {
namespace {

/// The engine of --root logs too: only what is serious, and never among the results.
void QuietLibraries() {
  auto logger = std::make_shared<spdlog::logger>("weighhouse",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("weighhouse: %v");
  logger->set_level(spdlog::level::err);
  spdlog::set_default_logger(std::move(logger));
  ::setenv("GRPC_VERBOSITY", "NONE", 0);  // its errors reach us as statuses
}

Outcome RunConnected(const Options& options) {
  auto client = Client::Connect(options);
  if (!client) return std::unexpected(client.error());
  switch (options.command) {
    case Command::kList:
      return List(options, **client);
    case Command::kStatus:
      return Status(options, **client);
    case Command::kInspect:
      return Inspect(options, **client);
    case Command::kEvict:
      return Evict(options, **client);
    case Command::kVerify:
      return Verify(options, **client);
    case Command::kPull:
    case Command::kVersion:
      break;
  }
  return kOk;
}

Outcome Run(const Options& options) {
  if (options.command == Command::kVersion) return Version(options);
  if (options.command == Command::kPull) return Pull(options);
  return RunConnected(options);
}

int Main(int argc, char** argv) {
  std::variant<Options, Printout> parsed = ParseOptions(argc, argv);
  if (const auto* printout = std::get_if<Printout>(&parsed)) {
    fmt::print(printout->exit_code == kOk ? stdout : stderr, "{}", printout->text);
    return printout->exit_code;
  }
  QuietLibraries();
  const auto& options = std::get<Options>(parsed);
  Outcome outcome = Run(options);
  if (outcome) return *outcome;
  Report(outcome.error(), options.output);
  return outcome.error().exit_code;
}

}  // namespace
}  // namespace weighhouse::cli

int main(int argc, char** argv) { return weighhouse::cli::Main(argc, argv); }
