#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <expected>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/fault.h"
#include "base/thread.h"
#include "cache-daemon/api/admin_http.h"
#include "cache-daemon/api/server.h"
#include "cache-daemon/daemon/config_reloader.h"
#include "cache-daemon/daemon/config_source.h"
#include "cache-daemon/daemon/engine_options.h"
#include "cache-daemon/daemon/logging.h"
#include "cache-daemon/daemon/options.h"
#include "cache-daemon/engine/engine.h"

namespace weighhouse::daemon {
namespace {

using namespace std::chrono_literals;

enum ExitCode { kStopped = 0, kNoSockets = 1, kBadConfiguration = 2, kBadRoot = 3 };

constexpr auto kDrainPatience = 3s;
constexpr auto kExitWithin =
    9s;  // well below the 30 s that Kubernetes gives, and the 10 s that we promise

int Complain(const Error& error, ExitCode code) {
  std::fputs(fmt::format("weighhouse-cached: {}\n", error.message).c_str(), stderr);
  return code;
}

/// What a process must be before it makes threads and files.
void PrepareProcess() {
  ::umask(022);                          // trees are read by every uid that a pod may have
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // a core dump would hold the callers' tokens
  ::signal(SIGPIPE, SIG_IGN);
}

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

Result<> CheckUser(bool allow_root) {
  if (::geteuid() != 0 || allow_root) return {};
  return Fail(Code::kFailedPrecondition,
              "running as root is refused: model files would belong to root, and root inside a "
              "container could "
              "then write to them; run as a user of its own, or give --allow-root where no "
              "container sees the "
              "files");
}

int ListFaultPoints() {
  std::string text;
  for (std::string_view name : kFaultPoints) text += fmt::format("{}\n", name);
  text += fmt::format("{} fault points\n", kFaultPoints.size());
  std::fputs(text.c_str(), stdout);
  return kStopped;
}

/// Ends the process if it takes too long to stop: at any moment the disk is as after a kill, so
/// nothing is lost.
class StopWatchdog {
 public:
  StopWatchdog()
      : thread_(StartThread("stop-watchdog", [this](const std::stop_token& stop) {
          std::unique_lock lock(mutex_);
          if (stopped_.wait_for(lock, stop, kExitWithin, [&stop] { return stop.stop_requested(); }))
            return;
          spdlog::warn("calls still under way after {} s: leaving them", kExitWithin.count());
          ::_exit(kStopped);
        })) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::jthread thread_;
};

void LogStart(Engine& engine, const Options& options) {
  Result<EngineInfo> info = engine.Info();
  if (!info) return spdlog::warn("started, but: {}", info.error().message);
  std::string fallback = info->fallback_reason.empty()
                             ? ""
                             : fmt::format(" (not io_uring: {})", info->fallback_reason);
  spdlog::info("weighhouse-cached {} serves {} as uid {} on {}: write engine {}{}",
               WEIGHHOUSE_VERSION, info->root, info->uid, options.socket_directory,
               info->write_engine, fallback);
}

/// The pages from the start: a probe is answered, and told to wait, while the store is recovered.
Result<std::unique_ptr<api::AdminHttp>> StartAdminHttp(const config::Config& config,
                                                       api::AdminPages& pages) {
  if (!config.admin_listen) return nullptr;
  std::unique_ptr<api::AdminHttp> http = TRY(api::AdminHttp::Start(*config.admin_listen, pages));
  spdlog::info("metrics and probes on {}", http->address().ToString());
  return http;
}

int Serve(const Options& options, ConfigReloader::Begun begun, const ErrorMemory& errors) {
  sigset_t signals = StopSignals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before the first thread: all inherit it
  config::Config config = config::ConfigOf(begun.reading.values);
  Result<Placement> placement = PlacementOf(config.root, begun.source.file);
  if (!placement) return Complain(placement.error(), kBadRoot);
  begun.shared = placement->shared;
  metrics::Registry registry;
  api::AdminPages pages(
      registry, {.details = config.admin_details ? api::Details::kShown : api::Details::kHidden});
  Result<std::unique_ptr<api::AdminHttp>> http = StartAdminHttp(config, pages);
  if (!http) return Complain(http.error(), kNoSockets);
  EngineOptions engine_options = ToEngineOptions(config, *placement);
  engine_options.metrics = metrics::CacheMetrics(registry);
  Result<std::unique_ptr<Engine>> engine = Engine::Open(engine_options);
  if (!engine) return Complain(engine.error(), kBadRoot);
  Result<std::unique_ptr<ConfigReloader>> reloader =
      ConfigReloader::Start(**engine, std::move(begun), engine_options.metrics.configuration);
  if (!reloader) return Complain(reloader.error(), kBadConfiguration);
  auto configuration = [&reloader] { return (*reloader)->Status(); };
  Result<std::unique_ptr<api::Server>> server =
      api::Server::Start(**engine, {.socket_directory = options.socket_directory,
                                    .allowed_uids = options.allow_uids,
                                    .allowed_watch_uids = options.allow_watch_uids,
                                    .configuration = configuration,
                                    .recent_errors = [&errors] { return errors.All(); },
                                    .metrics = engine_options.metrics.calls});
  if (!server) return Complain(server.error(), kNoSockets);
  pages.Attach(**engine, configuration);
  LogStart(**engine, options);

  int signal = 0;
  ::sigwait(&signals, &signal);
  spdlog::info("{}: stopping", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  StopWatchdog watchdog;
  pages.Detach();
  (*server)->Drain(kDrainPatience);
  server->reset();
  reloader->reset();
  engine->reset();
  http->reset();  // last: a client that is slow to read holds nobody up but this
  spdlog::info("stopped");
  return kStopped;
}

/// Reads the configuration for the start: the default file may be absent.
Result<ConfigReloader::Begun> Begin(const Options& options) {
  ConfigReloader::Begun begun;
  begun.source = TRY(ConfigSourceOf(options));
  Result<std::string> text = config::ReadDocument(begun.source.file);
  bool absent = !text && text.error().code == Code::kNotFound && begun.source.optional;
  if (!text && !absent) return std::unexpected(std::move(text).error());
  if (text) begun.text = *std::move(text);
  begun.reading = TRY(ReadConfig(begun.source, begun.text));
  return begun;
}

int Main(int argc, char** argv) {
  PrepareProcess();
  std::expected<Options, Printout> parsed = ParseOptions(argc, argv);
  if (!parsed) {
    std::fputs(parsed.error().text.c_str(), parsed.error().exit_code == 0 ? stdout : stderr);
    return parsed.error().exit_code;
  }
  const Options& options = *parsed;
  if (options.list_fault_points) return ListFaultPoints();
  Result<> user = CheckUser(options.allow_root);
  if (!user) return Complain(user.error(), kBadConfiguration);
  Result<ConfigReloader::Begun> begun = Begin(options);
  if (!begun) return Complain(begun.error(), kBadConfiguration);
  config::Config config = config::ConfigOf(begun->reading.values);
  // Never destroyed: what ends late still logs.
  static ErrorMemory& errors = *new ErrorMemory();
  SetUpLogging(config.log_level, config.log_format, errors);
  ::setenv("GRPC_VERBOSITY", "NONE", 0);  // lines of its own form; its errors reach us as statuses
  return Serve(options, *std::move(begun), errors);
}

}  // namespace
}  // namespace weighhouse::daemon

int main(int argc, char** argv) { return weighhouse::daemon::Main(argc, argv); }
