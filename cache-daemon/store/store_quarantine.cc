#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/fault.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

constexpr std::chrono::minutes kPatience{3};

std::string BusyName(const Digest& sha256) { return "quarantine/" + sha256.Hex(); }

/// The "<snapshot id>/<path>" that are the blob.
std::vector<std::string> PathsOf(const Index& index, const Digest& sha256) {
  std::vector<std::string> paths;
  for (const auto& [id, entry] : index.catalog.entries()) {
    for (const SnapshotFile& file : entry.snapshot.files) {
      if (file.blob == sha256) paths.push_back(fmt::format("{}/{}", id, file.listed.path));
    }
  }
  return paths;
}

}  // namespace

// A crash between the move and the records leaves snapshots that name a blob that is not there:
// recovery marks them as this does.
Result<std::vector<std::string>> StoreImpl::Quarantine(const Digest& sha256, uint64_t version) {
  std::vector<std::string> affected;
  std::vector<std::string> paths;
  {
    MutexLock lock(state_->mutex);
    Index& index = state_->index;
    // A pin lasts as long as one operation's few writes.
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (index.blobs.IsPinned(sha256)) {
      if (state_->changed.WaitUntil(lock, deadline) || !index.blobs.IsPinned(sha256)) continue;
      return Fail(Code::kAborted, fmt::format("blob {} is bad but in use by another operation, try "
                                              "again",
                                              sha256.Hex()));
    }
    if (index.blobs.Version(sha256) != version) return paths;
    // From here no tree with it is handed out, no snapshot is given it, and no commit of it goes
    // on.
    index.blobs.BeginLeaving(sha256);
    affected = index.catalog.Having(sha256);
    paths = PathsOf(index, sha256);
  }
  bool moved = TRY(MoveToQuarantine(sha256));
  for (const std::string& id : affected) {
    MarkLacking(id, sha256);
    FaultPoint("quarantine.marked");
  }
  FaultPoint("quarantine.recorded");
  spdlog::error("store: blob {} {}; {} snapshots must fetch it again", sha256.Hex(),
                moved ? "is bad and now in quarantine/" : "is gone from the disk", affected.size());
  {
    MutexLock lock(state_->mutex);
    state_->index.ledger.Uncover(sha256);
    state_->index.blobs.MarkAbsent(sha256);
  }
  state_->changed.NotifyAll();
  metrics_.OnQuarantined();
  return paths;
}

Result<bool> StoreImpl::MoveToQuarantine(const Digest& sha256) {
  auto busy = BusyScope::Take(*state_, BusyName(sha256));
  Result<> moved;
  if (busy) {
    moved = filesystem_.Rename(layout_.Blob(sha256), layout_.Quarantined(sha256),
                               io::Replace::kAllowed);
  } else {
    moved = std::unexpected(std::move(busy).error());
  }
  bool missing = !moved.has_value() && moved.error().code == Code::kNotFound;
  if (!moved.has_value() && !missing) {
    {
      MutexLock lock(state_->mutex);
      state_->index.blobs.MarkStayed(sha256);
    }
    state_->changed.NotifyAll();
    return std::unexpected(
        std::move(moved).error().Within("a bad blob can't be put into quarantine"));
  }
  FaultPoint("quarantine.moved");
  for (const std::string& directory :
       {layout_.BlobDirectory(sha256), layout_.QuarantineDirectory()}) {
    auto synced = filesystem_.SyncDirectory(directory);
    if (!synced.has_value()) spdlog::warn("store: {}", synced.error().message);
  }
  if (missing) return false;
  MutexLock lock(state_->mutex);
  Index& index = state_->index;
  index.ledger.SetQuarantined(sha256, RoundUpToBlock(index.blobs.SizeOf(sha256)));
  return true;
}

void StoreImpl::MarkLacking(const std::string& snapshot_id, const Digest& sha256) {
  std::optional<BusyScope> busy;
  while (!busy) {
    auto taken = BusyScope::Take(*state_, snapshot_id);
    if (taken.has_value()) busy.emplace(std::move(*taken));
    if (!busy) spdlog::warn("store: a bad blob waits: {}", taken.error().message);
  }
  SnapshotRecord record;
  {
    MutexLock lock(state_->mutex);
    Index& index = state_->index;
    if (index.catalog.Find(snapshot_id) == nullptr) return;  // evicted while we waited
    for (const std::string& tree : index.trees.OfSnapshot(snapshot_id)) {
      if (index.trees.Find(tree)->state == TreeBook::State::kReady) index.trees.Withdraw(tree);
    }
    record = index.RecordOf(snapshot_id);
    for (size_t i = 0; i < record.snapshot.files.size(); ++i) {
      if (record.snapshot.files[i].blob != sha256) continue;
      record.snapshot.files[i].blob.reset();
      record.borrowed[i] = false;
    }
    record.snapshot.complete = false;
    index.Replace(record);
  }
  auto written = WriteRecord(record);
  // Recovery finds the blob missing and marks the snapshot again.
  if (!written.has_value())
    spdlog::error("store: snapshot {}: {}", snapshot_id, written.error().message);
  DiscardUnusedTrees(snapshot_id);
}

QuarantineSums StoreImpl::Quarantined() const {
  MutexLock lock(state_->mutex);
  const Ledger& ledger = state_->index.ledger;
  return {.blobs = ledger.quarantined_blobs().size(), .bytes = ledger.quarantined()};
}

std::vector<LeaseRecord> StoreImpl::DamagedLeases() const {
  MutexLock lock(state_->mutex);
  const Index& index = state_->index;
  std::vector<LeaseRecord> damaged;
  for (LeaseRecord& lease : index.leases.All()) {
    // One that names no tree was given none yet.
    const TreeBook::Entry* tree = index.trees.Find(lease.tree);
    bool bad = tree != nullptr && tree->snapshot_id == lease.snapshot_id &&
               tree->state == TreeBook::State::kWithdrawn;
    if (bad) damaged.push_back(std::move(lease));
  }
  return damaged;
}

Bytes StoreImpl::SweepQuarantine(Sweep sweep) {
  std::map<Digest, Bytes> blobs;
  {
    MutexLock lock(state_->mutex);
    blobs = state_->index.ledger.quarantined_blobs();
  }
  Bytes freed = 0;
  for (const auto& [sha256, bytes] : blobs) {
    if (RemoveQuarantined(sha256, sweep)) freed += bytes;
  }
  return freed;
}

bool StoreImpl::RemoveQuarantined(const Digest& sha256, Sweep sweep) {
  // Between the file and the ledger nobody may put the next bad file of that name there.
  auto busy = BusyScope::Take(*state_, BusyName(sha256));
  if (!busy) return false;
  {
    MutexLock lock(state_->mutex);
    const Index& index = state_->index;
    // A withdrawn tree has another name of the file, so its bytes would stay, uncounted. Which of
    // them has it is not known, and they are rare. One that is leaving has its trees withdrawn yet.
    if (index.trees.HasWithdrawn() || index.blobs.IsLeaving(sha256)) return false;
    bool needless = index.blobs.IsPresent(sha256) || index.blobs.Users(sha256) == 0;
    if (sweep == Sweep::kNeedless && !needless) return false;
    if (!index.ledger.quarantined_blobs().contains(sha256)) return false;
  }
  auto removed = filesystem_.Unlink(layout_.Quarantined(sha256));
  if (!removed.has_value() && removed.error().code != Code::kNotFound) {
    spdlog::warn("store: a blob stays in quarantine: {}", removed.error().message);
    return false;
  }
  FaultPoint("quarantine.dropped");
  spdlog::info("store: bad blob {} removed from quarantine/", sha256.Hex());
  MutexLock lock(state_->mutex);
  state_->index.ledger.DropQuarantined(sha256);
  return true;
}

}  // namespace weighhouse::store
