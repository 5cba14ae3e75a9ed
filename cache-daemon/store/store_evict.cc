#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

std::string_view Cause(metrics::EvictionReason reason) {
  switch (reason) {
    case metrics::EvictionReason::kSpace:
      return "a fill needed the room";
    case metrics::EvictionReason::kLimit:
      return "the cache was over its limit";
    case metrics::EvictionReason::kRequest:
      return "as asked";
  }
  return "";
}

}  // namespace

Result<Bytes> StoreImpl::Evict(const std::string& snapshot_id) {
  Bytes freed = TRY(EvictFor(metrics::EvictionReason::kRequest, snapshot_id));
  return freed + SweepQuarantine(Sweep::kNeedless);
}

// Who takes it into use in between finds it gone, as after any eviction, and begins it anew.
void StoreImpl::DropBare(const std::string& snapshot_id) {
  {
    MutexLock lock(state_->mutex);
    if (!state_->index.IsBare(snapshot_id)) return;
  }
  Result<Gone> gone = RemoveSnapshot(metrics::EvictionReason::kRequest, snapshot_id);
  if (!gone) return LogRepeated(LogLevel::kInfo, fmt::format("store: {}", gone.error().message));
  // No eviction: there was nothing that anybody could have used.
  LogRepeated(LogLevel::kInfo, fmt::format("store: dropped snapshot {} of {}: nothing came of it",
                                           snapshot_id, gone->origin));
}

Result<Bytes> StoreImpl::EvictFor(metrics::EvictionReason reason, const std::string& snapshot_id) {
  Gone gone = TRY(RemoveSnapshot(reason, snapshot_id));
  metrics_.OnEvicted(reason, gone.freed);
  // The context, if there is one, is that of who needed the room.
  LogEvent(LogLevel::kInfo,
           fmt::format("store: evicted snapshot {} of {}: {}, {} freed", snapshot_id, gone.origin,
                       Cause(reason), FormatBytes(gone.freed)),
           {{"snapshot", snapshot_id}, {"origin", gone.origin}, {"bytes_freed", gone.freed}});
  return gone.freed;
}

// The order is such that a crash anywhere leaves either the snapshot (its trees are made again) or
// garbage that recovery knows: trees out of sight, then the record, then the space of the trees,
// then the blobs, whose own names are by now their last and free the space that the ledger takes
// for free from then on.
Result<StoreImpl::Gone> StoreImpl::RemoveSnapshot(metrics::EvictionReason reason,
                                                  const std::string& snapshot_id) {
  BusyScope busy = TRY(BusyScope::Take(*state_, snapshot_id));
  std::vector<TreeRecord> trees = TRY(MarkLeaving(snapshot_id));
  FaultPoint("evict.begun");
  auto removed = RemoveTrees(trees);
  if (removed.has_value()) removed = RemoveRecord(snapshot_id);
  if (!removed.has_value()) {
    {
      MutexLock lock(state_->mutex);
      state_->index.catalog.SetLeaving(snapshot_id, false);
    }
    trash_.Empty();
    return std::unexpected(std::move(removed).error().Within("evict " + snapshot_id));
  }
  Gone gone;
  {
    MutexLock lock(state_->mutex);
    gone.origin = state_->index.catalog.Find(snapshot_id)->snapshot.origin;
    state_->index.Erase(snapshot_id);
  }
  ForgetReferences(snapshot_id);
  trash_.Empty();
  FaultPoint("evict.tree_removed");
  gone.freed = SweepIngests() + SweepBlobs(reason);
  for (const TreeRecord& tree : trees) gone.freed += tree.copied;
  FaultPoint("evict.done");
  return gone;
}

Result<std::vector<TreeRecord>> StoreImpl::MarkLeaving(const std::string& snapshot_id) {
  MutexLock lock(state_->mutex);
  Index& index = state_->index;
  if (index.catalog.Find(snapshot_id) == nullptr) {
    return Fail(Code::kNotFound, fmt::format("snapshot {} is not known", snapshot_id));
  }
  if (index.kept.contains(snapshot_id)) {
    return Fail(
        Code::kFailedPrecondition,
        fmt::format("snapshot {} is kept by the configuration: take its model out of 'keep' "
                    "first",
                    snapshot_id));
  }
  if (!index.IsIdle(snapshot_id)) {
    return Fail(Code::kFailedPrecondition, fmt::format("snapshot {} is in use by {}", snapshot_id,
                                                       DescribeUse(index, snapshot_id)));
  }
  index.catalog.SetLeaving(snapshot_id, true);
  return index.trees.Records(snapshot_id);
}

Result<> StoreImpl::RemoveTrees(const std::vector<TreeRecord>& trees) {
  for (const TreeRecord& tree : trees) {
    TRY(trash_.Move(tree.path));
    MutexLock lock(state_->mutex);
    state_->index.trees.Remove(tree.path);
  }
  FaultPoint("evict.tree_renamed");
  return {};
}

Result<> StoreImpl::RemoveRecord(const std::string& snapshot_id) {
  auto removed = filesystem_.Unlink(layout_.SnapshotRecord(snapshot_id));
  if (!removed.has_value() && removed.error().code != Code::kNotFound) return removed;
  // From here the snapshot is gone, whatever else fails: what stays is garbage that recovery knows.
  auto journal = filesystem_.Unlink(layout_.SnapshotJournal(snapshot_id));
  if (!journal.has_value() && journal.error().code != Code::kNotFound) {
    LogRepeated(LogLevel::kWarning, fmt::format("store: {}", journal.error().message));
  }
  // So that a power cut doesn't bring back a record whose blobs are gone (that would do no harm,
  // but be fetched again).
  auto synced = filesystem_.SyncDirectory(layout_.SnapshotsDirectory());
  if (!synced.has_value())
    LogRepeated(LogLevel::kWarning, fmt::format("store: {}", synced.error().message));
  FaultPoint("evict.record_removed");
  return {};
}

Bytes StoreImpl::SweepBlobs(metrics::EvictionReason reason) {
  std::vector<std::pair<Digest, Bytes>> unlisted;
  {
    MutexLock lock(state_->mutex);
    unlisted = state_->index.blobs.Unlisted();
    for (const auto& [sha256, size] : unlisted) state_->index.blobs.BeginLeaving(sha256);
  }
  Bytes freed = 0;
  for (const auto& [sha256, size] : unlisted) {
    if (!RemoveBlob(sha256, reason)) continue;
    if (freed == 0) FaultPoint("evict.first_blob_removed");
    freed += RoundUpToBlock(size);
  }
  return freed;
}

bool StoreImpl::RemoveBlob(const Digest& sha256, metrics::EvictionReason reason) {
  auto removed = filesystem_.Unlink(layout_.Blob(sha256));
  bool gone = removed.has_value() || removed.error().code == Code::kNotFound;
  if (!gone)
    LogRepeated(LogLevel::kWarning,
                fmt::format("store: a blob that nobody lists stays: {}", removed.error().message));
  {
    MutexLock lock(state_->mutex);
    if (gone) {
      state_->index.blobs.MarkAbsent(sha256);
      state_->recent_evictions.Add(sha256, reason, clock_.Steady());
    } else {
      state_->index.blobs.MarkStayed(sha256);
    }
  }
  state_->changed.NotifyAll();
  return gone;
}

}  // namespace weighhouse::store
