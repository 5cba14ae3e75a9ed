#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/thread.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json_text.h"
#include "cli/print.h"
#include "cli/progress_printer.h"
#include "cli/progress_rows.h"
#include "cli/progress_text.h"

namespace weighhouse::cli {
namespace {

Progress ToProgress(const pb::Filling& filling) {
  return {.total = filling.bytes_total(),
          .done = filling.bytes_done(),
          .per_second = filling.bytes_per_second(),
          .files_total = filling.files_total(),
          .files_done = filling.files_done(),
          .waiting_for = filling.waiting_for()};
}

Failure Interrupted(const Options& options, int signal) {
  std::string message =
      options.root
          ? "interrupted: the files that are complete stay; run the same command again to go on"
          : "interrupted: the fill goes on in the daemon; `weighhouse status` shows it";
  return {.error = {.code = Code::kCancelled, .message = std::move(message)},
          .exit_code = kExitOfSignal + signal};
}

/// The request for a tree that nobody holds.
Result<pb::AcquireRequest> ToRequest(const Options& options) {
  SecretValues secret = TRY(ReadSecret(options));
  pb::AcquireRequest request;
  *request.mutable_model() = ModelOf(options);
  request.set_layout(options.layout == Layout::kHub ? pb::LAYOUT_HUB : pb::LAYOUT_FILES);
  request.mutable_credentials()->insert(secret.begin(), secret.end());
  return request;
}

std::string NameOf(const Options& options) {
  return options.revision.empty() ? options.subject : options.subject + "@" + options.revision;
}

/// The connections of a fill, for the record: what its progress said last of each host.
class HostsSeen {
 public:
  void Add(const pb::Filling& filling) {
    for (const pb::HostConnections& host : filling.hosts())
      allowances_[host.host()] = host.allowance();
  }
  Json ToList() const {
    Json hosts = Json::array();
    for (const auto& [host, allowance] : allowances_) {
      hosts.push_back({{"host", host}, {"allowance", allowance}});
    }
    return hosts;
  }

 private:
  std::map<std::string, uint32_t> allowances_;
};

/// One model's pull, from its request to how it ended.
struct OnePull {
  Options options;  ///< with this model as the subject
  pb::AcquireRequest request;
  HostsSeen hosts;
  Result<pb::Ready> ready = Fail(Code::kCancelled, "it was not begun");
  std::chrono::milliseconds took{0};
};

Pulled PulledOf(const OnePull& pull, const std::string& root) {
  return {.model = NameOf(pull.options),
          .revision = pull.ready->revision(),
          .tree = fmt::format("{}/{}", root, pull.ready->tree()),
          .bytes = pull.ready->bytes(),
          .bytes_fetched = pull.ready->bytes_fetched(),
          .files = pull.ready->files(),
          .took = pull.took};
}

Json PulledToJson(const OnePull& pull, const std::string& root) {
  Pulled pulled = PulledOf(pull, root);
  return {{"model", pulled.model},
          {"revision", pulled.revision},
          {"snapshot_id", pull.ready->snapshot_id()},
          {"tree", pulled.tree},
          {"bytes", pulled.bytes},
          {"bytes_fetched", pulled.bytes_fetched},
          {"files", pulled.files},
          {"seconds", std::chrono::duration<double>(pulled.took).count()},
          {"served_from", pull.ready->served_from()},
          {"hosts", pull.hosts.ToList()}};
}

/// Runs one of the pulls to its end, on a thread of its own.
void RunPull(OnePull& pull, size_t row, Client& client, ProgressRows& rows, std::stop_token stop) {
  auto begun = std::chrono::steady_clock::now();
  auto on_update = [&](const pb::AcquireUpdate& update) {
    if (update.has_resolving()) rows.Resolving(row);
    if (update.has_filling()) pull.hosts.Add(update.filling());
    if (update.has_filling()) rows.Filling(row, ToProgress(update.filling()));
  };
  pull.ready = client.Acquire(pull.request, on_update, std::move(stop));
  pull.took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begun);
  rows.Ended(row, pull.ready ? "ready" : "failed");
}

void RunAll(std::vector<OnePull>& pulls, const Options& options, Client& client,
            const std::stop_token& stop) {
  SystemClock clock;
  auto style =
      options.quiet ? ProgressPrinter::Style::kNone : ProgressPrinter::StyleFor(STDERR_FILENO);
  std::vector<std::string> names;
  for (const OnePull& pull : pulls) names.push_back(NameOf(pull.options));
  ProgressRows rows(STDERR_FILENO, style, std::move(names), clock);
  std::vector<std::jthread> threads;
  for (size_t row = 0; row < pulls.size(); ++row) {
    threads.push_back(StartThread("pull", [&, row](const std::stop_token&) {
      RunPull(pulls[row], row, client, rows, stop);
    }));
  }
  threads.clear();  // joins them
}

/// How bad an exit code is: what can't be mended by trying again is worse.
int Badness(int exit_code) {
  if (exit_code == kOk) return 0;
  if (exit_code == kTemporary) return 1;
  return exit_code == kUsage ? 2 : 3;
}

/// Prints how each ended; the worst of their exit codes.
int PrintAll(const std::vector<OnePull>& pulls, const std::string& root, Output output) {
  int worst = kOk;
  Json list = Json::array();
  for (const OnePull& pull : pulls) {
    if (pull.ready) {
      list.push_back(PulledToJson(pull, root));
      if (output == Output::kText) Print("{}\n", ReadyLine(PulledOf(pull, root)));
      continue;
    }
    Failure failure = ToFailure(pull.ready.error());
    if (Badness(failure.exit_code) > Badness(worst)) worst = failure.exit_code;
    Report(failure, Output::kText);
    list.push_back({{"model", NameOf(pull.options)}, {"error", ErrorToJson(failure.error)}});
  }
  if (output == Output::kJson) PrintJson({{"pulls", list}});
  return worst;
}

Result<std::vector<OnePull>> ToPulls(const Options& options) {
  std::vector<OnePull> pulls;
  for (const std::string& model : options.models) {
    OnePull pull{.options = options};
    pull.options.subject = model;
    pull.request = TRY(ToRequest(pull.options));
    pulls.push_back(std::move(pull));
  }
  return pulls;
}

}  // namespace

Outcome Pull(const Options& options) {
  Result<std::vector<OnePull>> pulls = ToPulls(options);
  if (!pulls) return std::unexpected(ToFailure(pulls.error()));
  Interrupt interrupt;
  auto client = Client::Connect(options);
  if (!client) return std::unexpected(client.error());
  Result<pb::InfoResponse> info = (*client)->Info();
  if (!info) return std::unexpected(ToFailure(info.error()));
  RunAll(*pulls, options, **client, interrupt.Token());
  bool all_ready =
      std::ranges::all_of(*pulls, [](const OnePull& pull) { return pull.ready.has_value(); });
  if (!all_ready && interrupt.Signal() != 0)
    return std::unexpected(Interrupted(options, interrupt.Signal()));
  if (pulls->size() > 1) return PrintAll(*pulls, info->root(), options.output);
  const OnePull& pull = pulls->front();
  if (!pull.ready) return std::unexpected(ToFailure(pull.ready.error()));
  if (options.output == Output::kJson) {
    PrintJson(PulledToJson(pull, info->root()));
  } else {
    Print("{}\n", ReadyLine(PulledOf(pull, info->root())));
  }
  return kOk;
}

}  // namespace weighhouse::cli
