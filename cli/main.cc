#include <cstdio>
#include <cstdlib>
#include <expected>
#include <string_view>
#include <variant>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "agent/run.h"
#include "base/core_dumps.h"
#include "cli/command_table.h"
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

template <class Work>
Outcome Connected(const Options& options, Work work) {
  auto client = Client::Connect(options);
  if (!client) return std::unexpected(client.error());
  return work(**client);
}

/// By kinds and not by std::visit, which may throw.
Outcome RunCommand(const Options& options) {
  const auto& run = RowOf(options.command).run;
  if (const auto* alone = std::get_if<CommandRow::Alone>(&run)) return (*alone)(options);
  if (const auto* connected = std::get_if<CommandRow::Connected>(&run)) {
    return Connected(options, [&](Client& client) { return (*connected)(options, client); });
  }
  Result<SecretValues> secret = ReadSecret(options);
  if (!secret) return std::unexpected(ToFailure(secret.error()));
  const auto* with_secret = std::get_if<CommandRow::WithSecret>(&run);
  return Connected(options,
                   [&](Client& client) { return (*with_secret)(options, client, *secret); });
}

/// A result that its reader never got is no success.
int FlushResult(int exit_code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  std::perror("weighhouse: write the result");
  return exit_code == kOk ? kFailed : exit_code;
}

int Main(int argc, char** argv) {
  ForbidCoreDumps();
  if (argc > 1 && std::string_view(argv[1]) == "agent") return agent::Run(argc - 1, argv + 1);
  std::expected<Options, Printout> options = ParseOptions(argc, argv);
  if (!options) {
    const Printout& printout = options.error();
    std::fputs(printout.text.c_str(), printout.exit_code == kOk ? stdout : stderr);
    return printout.exit_code;
  }
  QuietLibraries();
  Outcome outcome = RunCommand(*options);
  if (!outcome) Report(outcome.error(), options->output);
  int exit_code = outcome ? *outcome : outcome.error().exit_code;
  return FlushResult(exit_code);
}

}  // namespace
}  // namespace weighhouse::cli

int main(int argc, char** argv) { return weighhouse::cli::Main(argc, argv); }
