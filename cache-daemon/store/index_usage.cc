#include <set>

#include "cache-daemon/store/index.h"

namespace weighhouse::store {

Usage Index::CountUsage() const {
  Usage usage;
  std::set<Digest> shared;
  for (const auto& [id, entry] : catalog.entries()) {
    Usage::Share& share = usage.snapshots[id];
    share.own = trees.CopiedBytes(id);
    for (const auto& [sha256, size] : ListedBlobs(entry.snapshot)) {
      if (!blobs.IsPresent(sha256)) continue;
      Bytes allocated = RoundUpToBlock(blobs.SizeOf(sha256));
      bool alone = blobs.Users(sha256) == 1;
      (alone ? share.own : share.shared) += allocated;
      if (!alone && shared.insert(sha256).second) usage.shared += allocated;
    }
  }
  return usage;
}

}  // namespace weighhouse::store
