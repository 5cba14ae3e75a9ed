#include "cache-daemon/engine/evict_named.h"

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace weighhouse {
namespace {

/// The snapshots that references of this name gave; without a revision, of any revision of it.
std::vector<std::string> SnapshotsNamed(const store::Store& store, const ModelReference& model) {
  std::set<std::string> ids;
  for (const store::ReferenceRecord& record : store.References()) {
    bool is_here = model.Covers(record.text) && store.FindSnapshot(record.snapshot_id);
    if (is_here) ids.insert(record.snapshot_id);
  }
  return {ids.begin(), ids.end()};
}

}  // namespace

Result<Engine::EvictOutcome> EvictNamed(store::Store& store, const std::string& snapshot_id,
                                        const std::string& model) {
  if (!snapshot_id.empty()) {
    Bytes bytes = TRY(store.Evict(snapshot_id));
    return Engine::EvictOutcome{.snapshots = 1, .bytes = bytes};
  }
  ModelReference reference = TRY(ModelReference::Parse(model));
  std::string name = reference.ToString();
  std::vector<std::string> ids = SnapshotsNamed(store, reference);
  if (ids.empty()) {
    return Fail(Code::kNotFound,
                fmt::format("{} is not in the cache: 'weighhouse ls' shows what is", name));
  }
  Engine::EvictOutcome outcome;
  std::optional<Error> refusal;
  for (const std::string& id : ids) {
    Result<Bytes> bytes = store.Evict(id);
    if (bytes) {
      ++outcome.snapshots;
      outcome.bytes += *bytes;
      continue;
    }
    Code code = bytes.error().code;
    if (code == Code::kNotFound) continue;  // somebody else evicted it just now
    refusal = std::move(bytes).error();
    if (code != Code::kFailedPrecondition) break;
  }
  // Some in use: what is idle of the model went, as it should. Anything else is a failure.
  bool partly = outcome.snapshots > 0 && refusal && refusal->code == Code::kFailedPrecondition;
  if (refusal && !partly) return std::unexpected(std::move(*refusal).Within(name));
  return outcome;
}

}  // namespace weighhouse
