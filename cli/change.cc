#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"

namespace weighhouse::cli {
namespace {

/// The request for what the subject names (nothing: the quarantine): the daemon knows references,
/// ids may be shortened.
Result<pb::EvictRequest> ToEvictRequest(const std::string& subject, Client& client) {
  pb::EvictRequest request;
  if (subject.empty()) {
    request.set_quarantine(true);
    return request;
  }
  if (subject.contains("://")) {
    request.set_model(subject);
    return request;
  }
  pb::ListResponse list = TRY(client.List());
  std::vector<std::string> ids = TRY(SnapshotIdsOf(subject, list));
  request.set_snapshot_id(ids.front());
  return request;
}

}  // namespace

Outcome Evict(const Options& options, Client& client) {
  Result<pb::EvictRequest> request = ToEvictRequest(options.subject, client);
  if (!request) return std::unexpected(ToFailure(request.error()));
  Result<pb::EvictResponse> evicted = client.Evict(*request);
  if (!evicted) return std::unexpected(ToFailure(evicted.error()));
  if (options.output == Output::kJson) {
    PrintJson({{"snapshots", evicted->snapshots()}, {"bytes_freed", evicted->bytes_freed()}});
  } else if (options.quarantine) {
    Print("evicted: the quarantine, {} freed\n", FormatBytes(evicted->bytes_freed()));
  } else {
    Print("evicted: {} snapshot{}, {} freed\n", evicted->snapshots(),
          evicted->snapshots() == 1 ? "" : "s", FormatBytes(evicted->bytes_freed()));
  }
  return kOk;
}

}  // namespace weighhouse::cli
