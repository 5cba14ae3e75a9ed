// weighhouse-csi: the CSI plugin of a node.
#include <absl/synchronization/mutex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include "base/core_dumps.h"
#include "base/log.h"
#include "csi/linux_mounter.h"
#include "csi/options.h"
#include "csi/plugin.h"
#include "csi/socket.h"

namespace weighhouse::csi {
namespace {

constexpr std::chrono::seconds kDaemonPatience{3};
constexpr std::chrono::seconds kStopPatience{15};

/// Keeps SIGTERM and SIGINT for `WaitForSignal`. Before the first thread, so that all inherit the
/// mask.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

int WaitForSignal(const sigset_t& signals) {
  int number = 0;
  while (sigwait(&signals, &number) != 0) continue;
  return number;
}

Result<std::unique_ptr<grpc::Server>> Listen(const Options& options, Plugin& plugin) {
  std::string path = options.SocketPath();
  TRY(PrepareSocketPath(path));
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  plugin.RegisterAt(builder);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) return Fail(Code::kInternal, "--endpoint: can't listen on " + path);
  // kubelet and the sidecars are root.
  if (chmod(path.c_str(), 0660) != 0) return FailErrno(errno, "chmod " + path);
  return server;
}

/// Every publish checks it anew: a mount that is mended needs no restart.
void LogKubeletRoot(const Plugin& plugin) {
  Result<> reached = plugin.CheckKubeletRoot();
  if (reached) {
    spdlog::info("self-test: what is mounted for pods reaches the host");
  } else {
    spdlog::error("self-test: no volume can be mounted: {}", reached.error().message);
  }
}

int Run(const Options& options) {
  // Debian's Abseil looks for circles at every lock of gRPC's, under one spin lock of the process.
  // Without that, here and in the daemon, 100 publishes at once have a p99 that is a fifth lower.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  SetUpLog({.level = options.log_level, .format = options.log_format});
  ::setenv("GRPC_VERBOSITY", "NONE", 0);  // lines of its own form; its errors reach us as statuses
  ForbidCoreDumps();
  sigset_t signals = BlockSignals();
  LinuxMounter mounter(EmptyDirectory(options.scratch_directory));
  Protections protections(mounter, options.scratch_directory);
  Result<> tested = protections.Ensure();
  // Only volumes that aren't readOnly need it; the reconciler tries again.
  if (!tested) spdlog::error("{}", tested.error().message);
  Plugin plugin(options, mounter, protections, kDaemonPatience);
  Result<std::unique_ptr<grpc::Server>> server = Listen(options, plugin);
  if (!server) {
    spdlog::error("{}", server.error().message);
    return EXIT_FAILURE;
  }
  spdlog::info("weighhouse-csi {} serves {} on {} as node {}", WEIGHHOUSE_VERSION,
               options.driver_name, options.SocketPath(), options.node_id);
  LogKubeletRoot(plugin);
  plugin.reconciler().StartThread(options.reconcile_interval);
  spdlog::info("{}: stopping; volumes stay mounted", strsignal(WaitForSignal(signals)));
  auto deadline = std::chrono::steady_clock::now() + kStopPatience;
  plugin.publisher().Stop();
  bool idle = plugin.publisher().WaitUntilIdle(deadline);
  (*server)->Shutdown(std::chrono::system_clock::now() + kStopPatience);
  if (!idle) {
    // A system call that hangs keeps its thread, and with it every destructor.
    spdlog::warn("a publish did not end in time; leaving without it");
    std::_Exit(EXIT_SUCCESS);
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace weighhouse::csi

int main(int argc, char** argv) {
  try {
    weighhouse::csi::CommandLine line = weighhouse::csi::ParseCommandLine(argc, argv);
    if (line.exit_code) return *line.exit_code;
    return weighhouse::csi::Run(line.options);
  } catch (const std::exception& error) {
    // Only what a library throws at start-up gets here (no memory, a log that can't be opened).
    std::fprintf(stderr, "weighhouse-csi: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
