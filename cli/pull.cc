#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/thread.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json_text.h"
#include "cli/keep.h"
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

/// The requests for trees that nobody holds. A secret is read once for all models of a scheme:
/// --token-file may be a pipe.
Result<std::vector<OnePull>> ToPulls(const Options& options) {
  std::map<std::string, SecretValues> secrets;
  std::vector<OnePull> pulls;
  for (const std::string& model : options.models) {
    OnePull pull{.options = options};
    pull.options.subject = model;
    std::string scheme = model.substr(0, model.find(':'));
    if (!secrets.contains(scheme)) {
      SecretValues secret = TRY(ReadSecret(pull.options));
      secrets.emplace(scheme, std::move(secret));
    }
    *pull.request.mutable_model() = ModelOf(pull.options);
    pull.request.set_layout(options.layout == Layout::kHub ? pb::LAYOUT_HUB : pb::LAYOUT_FILES);
    pull.request.mutable_credentials()->insert(secrets[scheme].begin(), secrets[scheme].end());
    pulls.push_back(std::move(pull));
  }
  return pulls;
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
  names.reserve(pulls.size());
  for (const OnePull& pull : pulls) names.push_back(NameOf(pull.options));
  ProgressRows rows(STDERR_FILENO, style, std::move(names), clock);
  std::vector<std::jthread> threads;
  threads.reserve(pulls.size());
  for (size_t row = 0; row < pulls.size(); ++row) {
    threads.push_back(StartThread("pull", [&, row](const std::stop_token&) {
      RunPull(pulls[row], row, client, rows, stop);
    }));
  }
  threads.clear();  // joins them
}

/// `signal`: that interrupted, or 0.
Failure FailureOf(const OnePull& pull, int signal) {
  if (signal == 0) return ToFailure(pull.ready.error());
  std::string message =
      pull.options.root
          ? "interrupted: the files that are complete stay; run the same command again to go on"
          : "interrupted: the fill goes on in the daemon; `weighhouse status` shows it";
  return {.error = {.code = Code::kCancelled, .message = std::move(message)},
          .exit_code = kExitOfSignal + signal};
}

/// The same where there are several, whose messages don't all say which they are about.
Failure NamedFailureOf(const OnePull& pull, int signal) {
  Failure failure = FailureOf(pull, signal);
  std::string& message = failure.error.message;
  if (!message.contains(pull.options.subject))
    message = fmt::format("{}: {}", NameOf(pull.options), message);
  return failure;
}

/// How bad an exit code is: what can't be mended by trying again is worse, a signal counts most.
int Badness(int exit_code) {
  if (exit_code == kOk) return 0;
  if (exit_code == kTemporary) return 1;
  if (exit_code == kUsage) return 2;
  return exit_code < kExitOfSignal ? 3 : 4;
}

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

/// With --keep: what is to be in the configuration.
Result<std::string> KeepingAll(const std::vector<OnePull>& pulls, const Options& options,
                               const pb::InfoResponse& info) {
  std::vector<std::string> models;
  for (const OnePull& pull : pulls) {
    ModelReference reference = TRY(ModelReference::Parse(pull.options.subject, options.revision));
    // A URL's query is left out of what is shown.
    models.push_back(options.revision.empty() ? pull.options.subject : reference.ToString());
  }
  return ChangedConfiguration(options.keep, info, KeepEdit::kAdd, models);
}

/// What is printed, in the end.
struct Results {
  std::string root;
  bool keep = false;                   ///< --keep
  std::optional<std::string> changed;  ///< the configuration; unset: it needn't be, or must not be
};

Json PatchToJson(const Results& results) {
  return results.changed ? ConfigMapPatchJson(*results.changed) : Json();
}

void PrintJsonOf(const std::vector<OnePull>& pulls, int signal, const Results& results) {
  Json all;
  if (pulls.size() == 1) {
    all = PulledToJson(pulls.front(), results.root);
  } else {
    all["pulls"] = Json::array();
    for (const OnePull& pull : pulls) {
      all["pulls"].push_back(pull.ready
                                 ? PulledToJson(pull, results.root)
                                 : Json{{"model", NameOf(pull.options)},
                                        {"error", ErrorToJson(FailureOf(pull, signal).error)}});
    }
  }
  if (results.keep) all["keep_patch"] = PatchToJson(results);
  PrintJson(all);
}

void PrintTextOf(const std::vector<OnePull>& pulls, const Results& results) {
  // With a patch what is printed is one file for kubectl.
  const char* begin = results.keep ? "# " : "";
  for (const OnePull& pull : pulls) {
    if (pull.ready) Print("{}{}\n", begin, ReadyLine(PulledOf(pull, results.root)));
  }
  if (results.changed) Print("{}", ConfigMapPatch(*results.changed));
}

/// Says on stderr which failed; the worst of their exit codes.
int ReportFailures(const std::vector<OnePull>& pulls, int signal) {
  int worst = kOk;
  for (const OnePull& pull : pulls) {
    if (pull.ready) continue;
    Failure failure = NamedFailureOf(pull, signal);
    if (Badness(failure.exit_code) > Badness(worst)) worst = failure.exit_code;
    Report(failure, Output::kText);
  }
  return worst;
}

bool AllReady(const std::vector<OnePull>& pulls) {
  return std::ranges::all_of(pulls, [](const OnePull& pull) { return pull.ready.has_value(); });
}

bool IsKeptAlready(const Result<std::string>& changed) {
  return !changed && changed.error().code == Code::kAlreadyExists;
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
  Results results{.root = info->root(), .keep = options.keep.after_pull};
  if (results.keep) {
    Result<std::string> changed = KeepingAll(*pulls, options, *info);
    if (!changed && !IsKeptAlready(changed)) return std::unexpected(ToFailure(changed.error()));
  }
  RunAll(*pulls, options, **client, interrupt.Token());
  int signal = interrupt.Signal();
  if (pulls->size() == 1 && !AllReady(*pulls))
    return std::unexpected(FailureOf(pulls->front(), signal));
  if (results.keep && AllReady(*pulls)) {
    // Anew: pulls take long, and others change the file too.
    Result<std::string> changed = KeepingAll(*pulls, options, *info);
    if (!changed && !IsKeptAlready(changed)) return std::unexpected(ToFailure(changed.error()));
    if (!changed) Report(ToFailure(changed.error()), Output::kText);
    if (changed) results.changed = *std::move(changed);
  }
  int exit_code = ReportFailures(*pulls, signal);
  if (results.keep && exit_code != kOk)
    std::fputs("weighhouse: no patch that keeps them: not all were pulled\n", stderr);
  if (options.output == Output::kJson) {
    PrintJsonOf(*pulls, signal, results);
  } else {
    PrintTextOf(*pulls, results);
  }
  return exit_code;
}

}  // namespace weighhouse::cli
