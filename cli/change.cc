#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"

namespace weighhouse::cli {
namespace {

/// The request for what the subject names: the daemon knows references, ids may be shortened.
Result<pb::EvictRequest> ToEvictRequest(const std::string& subject, Client& client) {
  pb::EvictRequest request;
  if (subject.contains("://")) {
    request.set_model(subject);
    return request;
  }
  pb::ListResponse list = TRY(client.List());
  std::vector<std::string> ids = TRY(SnapshotIdsOf(subject, list));
  request.set_snapshot_id(ids.front());
  return request;
}

/// What to verify: one empty id means everything.
Result<std::vector<std::string>> ToVerify(const Options& options, Client& client) {
  if (options.all) return std::vector<std::string>{""};
  pb::ListResponse list = TRY(client.List());
  return SnapshotIdsOf(options.subject, list);
}

void PrintFinding(const pb::VerifyFinding& finding) {
  Print("bad: sha256:{}: {}\n", finding.sha256(), Printable(finding.found()));
  for (const std::string& path : finding.paths()) Print("  {}\n", Printable(path, 1000));
}

}  // namespace

Outcome Evict(const Options& options, Client& client) {
  Result<pb::EvictRequest> request = ToEvictRequest(options.subject, client);
  if (!request) return std::unexpected(ToFailure(request.error()));
  Result<pb::EvictResponse> evicted = client.Evict(*request);
  if (!evicted) return std::unexpected(ToFailure(evicted.error()));
  if (options.output == Output::kJson) {
    PrintJson({{"snapshots", evicted->snapshots()}, {"bytes_freed", evicted->bytes_freed()}});
  } else {
    Print("evicted: {} snapshot{}, {} freed\n", evicted->snapshots(),
          evicted->snapshots() == 1 ? "" : "s", FormatBytes(evicted->bytes_freed()));
  }
  return kOk;
}

Outcome Verify(const Options& options, Client& client) {
  Result<std::vector<std::string>> ids = ToVerify(options, client);
  if (!ids) return std::unexpected(ToFailure(ids.error()));
  Json findings = Json::array();
  auto on_finding = [&](const pb::VerifyFinding& finding) {
    if (options.output == Output::kText) PrintFinding(finding);
    findings.push_back(ToJson(finding));
  };
  pb::VerifySums total;
  for (const std::string& id : *ids) {
    pb::VerifyRequest request;
    request.set_snapshot_id(id);
    Result<pb::VerifySums> sums = client.Verify(request, on_finding);
    if (!sums) return std::unexpected(ToFailure(sums.error()));
    total.set_blobs(total.blobs() + sums->blobs());
    total.set_bytes(total.bytes() + sums->bytes());
    total.set_bad(total.bad() + sums->bad());
  }
  if (options.output == Output::kJson) {
    PrintJson({{"blobs", total.blobs()},
               {"bytes", total.bytes()},
               {"bad", total.bad()},
               {"findings", findings}});
  } else {
    Print("verified: {} blob{}, {}: {}\n", total.blobs(), total.blobs() == 1 ? "" : "s",
          FormatBytes(total.bytes()),
          total.bad() == 0
              ? "all right"
              : fmt::format("{} bad and in quarantine: pull their models again", total.bad()));
  }
  return total.bad() == 0 ? kOk : kFailed;
}

}  // namespace weighhouse::cli
