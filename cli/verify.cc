#include <unistd.h>

#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json_text.h"
#include "cli/print.h"
#include "cli/progress_printer.h"
#include "cli/progress_text.h"

namespace weighhouse::cli {
namespace {

/// What to verify: one empty id means everything.
Result<std::vector<std::string>> ToVerify(const Options& options, Client& client) {
  if (options.all) return std::vector<std::string>{""};
  pb::ListResponse list = TRY(client.List());
  return SnapshotIdsOf(options.subject, list);
}

/// Shows what a Verify says, and keeps its findings.
class Listener {
 public:
  explicit Listener(const Options& options)
      : text_(options.output == Output::kText),
        printer_(STDERR_FILENO,
                 options.quiet ? ProgressPrinter::Style::kNone
                               : ProgressPrinter::StyleFor(STDERR_FILENO),
                 "verify", clock_) {}

  void Hear(const pb::VerifyUpdate& update) {
    if (update.has_progress()) Show(update.progress());
    if (!update.has_finding()) return;
    printer_.Clear();
    if (text_) PrintFinding(update.finding());
    findings_.push_back(ToJson(update.finding()));
  }
  const Json& findings() const { return findings_; }

 private:
  static void PrintFinding(const pb::VerifyFinding& finding);
  void Show(const pb::VerifyProgress& progress) {
    auto seconds = std::chrono::duration<double>(clock_.Steady() - begun_).count();
    double rate = seconds > 0 ? static_cast<double>(progress.bytes()) / seconds : 0;
    printer_.Filling({.total = progress.bytes_total(),
                      .done = progress.bytes(),
                      .per_second = static_cast<Bytes>(rate),
                      .files_total = progress.blobs_total(),
                      .files_done = progress.blobs(),
                      .waiting_for = ""});
  }

  const SystemClock clock_;
  const bool text_;
  ProgressPrinter printer_;
  const std::chrono::steady_clock::time_point begun_ = clock_.Steady();
  Json findings_ = Json::array();
};

void Listener::PrintFinding(const pb::VerifyFinding& finding) {
  Print("bad: sha256:{}: {}\n", finding.sha256(), Printable(finding.found()));
  for (const std::string& path : finding.paths()) Print("  {}\n", Printable(path, 1000));
}

void PrintSums(const pb::VerifySums& total, const Json& findings, Output output) {
  if (output == Output::kJson) {
    return PrintJson({{"blobs", total.blobs()},
                      {"bytes", total.bytes()},
                      {"bad", total.bad()},
                      {"findings", findings}});
  }
  std::string outcome =
      total.bad() == 0
          ? "all right"
          : fmt::format(
                "{} bad: a daemon fetches public models again by itself, others are at their next "
                "publish or pull",
                total.bad());
  Print("verified: {} blob{}, {}: {}\n", total.blobs(), total.blobs() == 1 ? "" : "s",
        FormatBytes(total.bytes()), outcome);
}

Failure Interrupted(int signal) {
  return {.error = {.code = Code::kCancelled,
                    .message = "interrupted: what was found bad so far is in quarantine"},
          .exit_code = kExitOfSignal + signal};
}

}  // namespace

Outcome Verify(const Options& options) {
  Interrupt interrupt;
  auto client = Client::Connect(options);
  if (!client) return std::unexpected(client.error());
  Result<std::vector<std::string>> ids = ToVerify(options, **client);
  if (!ids) return std::unexpected(ToFailure(ids.error()));
  Listener listener(options);
  pb::VerifySums total;
  for (const std::string& id : *ids) {
    pb::VerifyRequest request;
    request.set_snapshot_id(id);
    if (options.rate) request.set_bytes_per_second(*options.rate);
    auto on_update = [&listener](const pb::VerifyUpdate& update) { listener.Hear(update); };
    Result<pb::VerifySums> sums = (*client)->Verify(request, on_update, interrupt.Token());
    if (!sums && interrupt.Signal() != 0) return std::unexpected(Interrupted(interrupt.Signal()));
    if (!sums) return std::unexpected(ToFailure(sums.error()));
    total.set_blobs(total.blobs() + sums->blobs());
    total.set_bytes(total.bytes() + sums->bytes());
    total.set_bad(total.bad() + sums->bad());
  }
  PrintSums(total, listener.findings(), options.output);
  return total.bad() == 0 ? kOk : kFailed;
}

}  // namespace weighhouse::cli
