#include "agent/run.h"

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "agent/agent_loop.h"
#include "base/log.h"
#include "base/thread.h"

namespace weighhouse::agent {
namespace {

/// The loop goes round in five seconds, or waits for the daemon and two requests of ten seconds
/// each.
constexpr std::chrono::seconds kOldestHeartbeat{90};

/// Before the first thread, so that all inherit the mask.
sigset_t HoldSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

int NextSignal(const sigset_t& signals) {
  int number = 0;
  while (sigwait(&signals, &number) != 0) continue;
  return number;
}

int Probe(const Options& options) {
  Result<> beats = CheckHeartbeat(options.heartbeat, kOldestHeartbeat);
  if (beats) return EXIT_SUCCESS;
  fmt::print(stderr, "weighhouse agent: {}\n", beats.error().message);
  return EXIT_FAILURE;
}

int Serve(const Options& options) {
  SetUpLog({.level = options.log_level, .format = options.log_format});
  ::setenv("GRPC_VERBOSITY", "NONE", 0);  // its errors reach us as statuses
  sigset_t signals = HoldSignals();
  auto api = ConnectToCluster({.url = options.api_server, .directory = options.service_account});
  if (!api) {
    spdlog::error("{}", api.error().message);
    return EXIT_FAILURE;
  }
  SystemClock clock;
  DaemonWatch watch(options.watch_socket);
  AgentLoop loop(options, watch, **api, clock);
  spdlog::info("weighhouse agent {} tells {} of node {}", WEIGHHOUSE_VERSION, options.api_server,
               options.node_name);
  std::jthread thread = StartThread("agent", [&](const std::stop_token& stop) { loop.Run(stop); });
  spdlog::info("{}: stopping; events and labels stay", strsignal(NextSignal(signals)));
  return EXIT_SUCCESS;
}

}  // namespace

int Run(int argc, const char* const* argv) {
  CommandLine line = ParseCommandLine(argc, argv);
  if (line.exit_code) return *line.exit_code;
  return line.options.probe ? Probe(line.options) : Serve(line.options);
}

}  // namespace weighhouse::agent
