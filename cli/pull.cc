#include <unistd.h>

#include <chrono>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json_text.h"
#include "cli/print.h"
#include "cli/progress_printer.h"
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

void PrintResult(const Pulled& pulled, const pb::Ready& ready, const HostsSeen& hosts,
                 Output output) {
  if (output == Output::kText) return Print("{}\n", ReadyLine(pulled));
  PrintJson({{"model", pulled.model},
             {"revision", pulled.revision},
             {"snapshot_id", ready.snapshot_id()},
             {"tree", pulled.tree},
             {"bytes", pulled.bytes},
             {"bytes_fetched", pulled.bytes_fetched},
             {"files", pulled.files},
             {"seconds", std::chrono::duration<double>(pulled.took).count()},
             {"served_from", ready.served_from()},
             {"hosts", hosts.ToList()}});
}

Result<pb::Ready> AcquireWithProgress(const Options& options, Client& client,
                                      const pb::AcquireRequest& request, HostsSeen& hosts,
                                      std::stop_token stop) {
  SystemClock clock;
  auto style =
      options.quiet ? ProgressPrinter::Style::kNone : ProgressPrinter::StyleFor(STDERR_FILENO);
  ProgressPrinter printer(STDERR_FILENO, style, NameOf(options), clock);
  auto on_update = [&](const pb::AcquireUpdate& update) {
    if (update.has_resolving()) printer.Resolving();
    if (update.has_filling()) hosts.Add(update.filling());
    if (update.has_filling()) printer.Filling(ToProgress(update.filling()));
  };
  return client.Acquire(request, on_update, std::move(stop));
}

}  // namespace

Outcome Pull(const Options& options) {
  Result<pb::AcquireRequest> request = ToRequest(options);
  if (!request) return std::unexpected(ToFailure(request.error()));
  Interrupt interrupt;
  auto started = std::chrono::steady_clock::now();
  auto client = Client::Connect(options);
  if (!client) return std::unexpected(client.error());
  Result<pb::InfoResponse> info = (*client)->Info();
  if (!info) return std::unexpected(ToFailure(info.error()));
  HostsSeen hosts;
  Result<pb::Ready> ready =
      AcquireWithProgress(options, **client, *request, hosts, interrupt.Token());
  if (!ready && interrupt.Signal() != 0)
    return std::unexpected(Interrupted(options, interrupt.Signal()));
  if (!ready) return std::unexpected(ToFailure(ready.error()));
  Pulled pulled{.model = NameOf(options),
                .revision = ready->revision(),
                .tree = fmt::format("{}/{}", info->root(), ready->tree()),
                .bytes = ready->bytes(),
                .bytes_fetched = ready->bytes_fetched(),
                .files = ready->files(),
                .took = std::chrono::duration_cast<std::chrono::milliseconds>(
                    std::chrono::steady_clock::now() - started)};
  PrintResult(pulled, *ready, hosts, options.output);
  return kOk;
}

}  // namespace weighhouse::cli
