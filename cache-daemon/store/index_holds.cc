#include <map>
#include <utility>

#include "cache-daemon/store/index.h"
#include "cache-daemon/store/ingest_name.h"

namespace weighhouse::store {
namespace {

/// What the holds on one snapshot promised of it.
struct Promised {
  bool whole = false;  ///< all that it takes
  Bytes bytes = 0;     ///< else as much, what is here of it included
};

}  // namespace

Bytes Index::LackedBytes(const Snapshot& snapshot) {
  Bytes lacked = 0;
  for (const SnapshotFile& file : snapshot.files) {
    if (!file.blob) lacked += RoundUpToBlock(file.listed.size);
  }
  return lacked;
}

Bytes Index::LackedBytes(const std::string& id) const {
  const SnapshotEntry* entry = catalog.Find(id);
  return entry == nullptr ? 0 : LackedBytes(entry->snapshot);
}

Bytes Index::HoldNeed(const Snapshot& snapshot) const {
  Bytes lacked = LackedBytes(snapshot);
  Bytes filling = ledger.UncoveredOf(snapshot.id);
  return lacked > filling ? lacked - filling : 0;
}

std::set<std::string> Index::LackedIngests(const std::string& id) const {
  const SnapshotEntry* entry = catalog.Find(id);
  return entry == nullptr ? std::set<std::string>() : LackedIngests(entry->snapshot);
}

std::set<std::string> Index::LackedIngests(const Snapshot& snapshot) {
  std::set<std::string> ids;
  for (const SnapshotFile& file : snapshot.files) {
    if (!file.blob) ids.insert(FreshIngestFor(snapshot.origin, snapshot.anonymous, file.listed));
  }
  return ids;
}

HoldSums Index::SumsOfHolds(const std::string& except,
                            const std::set<std::string>& its_ingests) const {
  HoldSums sums;
  std::map<std::string, Promised> targets;
  for (const auto& [id, hold] : holds.entries()) {
    const std::string& target = hold.target();
    if (!target.empty() && target == except) continue;
    if (catalog.Find(target) == nullptr) {
      sums.Add(RoundUpToBlock(hold.record.bytes), 0);
      continue;
    }
    Promised& promised = targets[target];
    promised.whole = promised.whole || hold.whole();
    promised.bytes = std::max(promised.bytes, RoundUpToBlock(hold.record.bytes));
  }
  for (const auto& [target, promised] : targets) {
    Bytes lacked = LackedBytes(target);
    Bytes present = 0;
    for (const SnapshotFile& file : catalog.Find(target)->snapshot.files) {
      if (file.blob) present += RoundUpToBlock(file.listed.size);
    }
    HoldRoom room{.lacked = lacked,
                  .present = present,
                  .most = promised.whole ? lacked + present : promised.bytes,
                  .filling = ledger.UncoveredOf(target)};
    Bytes staged = 0;
    for (const std::string& ingest : LackedIngests(target)) {
      const IdleIngests::Entry* idle = idle_ingests.Find(ingest);
      bool others = its_ingests.contains(ingest) || !ledger.ClaimantsOf(ingest).empty();
      if (others || !sums.ingests.insert(ingest).second) continue;
      if (idle != nullptr && !idle->leaving) sums.idle += idle->allocated;
      if (idle != nullptr && !idle->leaving) staged += idle->allocated;
      sums.active += ledger.IngestBytes(ingest);
      staged += ledger.IngestBytes(ingest);
    }
    sums.Add(RoomOf(room), staged);
  }
  return sums;
}

}  // namespace weighhouse::store
