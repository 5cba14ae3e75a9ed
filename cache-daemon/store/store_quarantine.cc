#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

constexpr std::chrono::minutes kPatience{3};

std::string QuarantineName(const Digest& sha256) { return "quarantine/" + sha256.Hex(); }

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
Result<BadBlob> StoreImpl::Quarantine(const Digest& sha256, uint64_t version, std::string found) {
  Leaving leaving = TRY(BeginQuarantine(sha256, version));
  BadBlob bad{.found = std::move(found), .paths = std::move(leaving.paths)};
  if (!leaving.begun) {
    bad.stays = "another operation is using it";
    return bad;
  }
  auto moved = MoveToQuarantine(sha256);
  if (!moved.has_value()) {
    bad.stays = std::move(moved).error().message;
    return bad;
  }
  for (const std::string& id : leaving.snapshots) {
    MarkLacking(id, sha256);
    FaultPoint("quarantine.marked");
  }
  trash_.Empty();
  FaultPoint("quarantine.recorded");
  LogRepeated(LogLevel::kError,
              fmt::format("store: blob {} {}; {} snapshots lack it now", sha256.Hex(),
                          *moved ? "is bad and now in quarantine/" : "is gone from the disk",
                          leaving.snapshots.size()),
              {{"blob", sha256.Hex()}, {"snapshots", leaving.snapshots.size()}});
  {
    MutexLock lock(state_->mutex);
    Index& index = state_->index;
    // In one moment: as long as it is leaving, the blob's bytes count as the blob's.
    if (*moved) {
      index.ledger.SetQuarantined(sha256, RoundUpToBlock(index.blobs.SizeOf(sha256)));
    }
    index.ledger.Uncover(sha256);
    index.blobs.MarkAbsent(sha256);
  }
  state_->changed.NotifyAll();
  metrics_.OnQuarantined();
  return bad;
}

Result<StoreImpl::Leaving> StoreImpl::BeginQuarantine(const Digest& sha256, uint64_t version) {
  MutexLock lock(state_->mutex);
  Index& index = state_->index;
  // A pin lasts as long as one operation's few writes.
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  bool in_time = true;
  while (in_time && index.blobs.Version(sha256) == version && index.blobs.IsPinned(sha256)) {
    in_time = state_->changed.WaitUntil(lock, deadline);
  }
  if (index.blobs.Version(sha256) != version) {
    return Fail(Code::kNotFound,
                fmt::format("blob {} is no longer the file that was read", sha256.Hex()));
  }
  Leaving leaving{.paths = PathsOf(index, sha256)};
  if (index.blobs.IsPinned(sha256)) return leaving;
  // From here no tree with it is handed out, no snapshot is given it, and no commit of it goes on.
  index.blobs.BeginLeaving(sha256);
  leaving.begun = true;
  leaving.snapshots = index.catalog.Having(sha256);
  return leaving;
}

Result<bool> StoreImpl::MoveToQuarantine(const Digest& sha256) {
  auto busy = BusyScope::Take(*state_, QuarantineName(sha256));
  Result<bool> moved = false;
  if (busy) {
    moved = RenameIntoQuarantine(sha256);
  } else {
    moved = std::unexpected(std::move(busy).error());
  }
  if (!moved.has_value()) {
    {
      MutexLock lock(state_->mutex);
      state_->index.blobs.MarkStayed(sha256);
    }
    state_->changed.NotifyAll();
    return moved;
  }
  FaultPoint("quarantine.moved");
  for (const std::string& directory :
       {layout_.BlobDirectory(sha256), layout_.QuarantineDirectory()}) {
    auto synced = filesystem_.SyncDirectory(directory);
    if (!synced.has_value())
      LogRepeated(LogLevel::kWarning, fmt::format("store: {}", synced.error().message));
  }
  return moved;
}

Result<bool> StoreImpl::RenameIntoQuarantine(const Digest& sha256) {
  std::string from = layout_.Blob(sha256);
  std::string to = layout_.Quarantined(sha256);
  auto moved = filesystem_.Rename(from, to, io::Replace::kAllowed);
  if (moved.has_value()) return true;
  if (moved.error().code != Code::kNotFound) return std::unexpected(std::move(moved).error());
  // Which of the two is missing: the blob, or quarantine/?
  auto blob = filesystem_.Status(from);
  if (!blob.has_value() && blob.error().code == Code::kNotFound) return false;
  if (!blob.has_value()) return std::unexpected(std::move(blob).error());
  auto made = filesystem_.MakeDirectory(layout_.QuarantineDirectory());
  if (!made.has_value() && made.error().code != Code::kAlreadyExists) {
    return std::unexpected(std::move(made).error());
  }
  TRY(filesystem_.Rename(from, to, io::Replace::kAllowed));
  return true;
}

void StoreImpl::MarkLacking(const std::string& snapshot_id, const Digest& sha256) {
  std::optional<BusyScope> busy;
  while (!busy) {
    auto taken = BusyScope::Take(*state_, snapshot_id);
    if (taken.has_value()) busy.emplace(std::move(*taken));
    if (!busy)
      LogRepeated(LogLevel::kWarning,
                  fmt::format("store: a bad blob waits: {}", taken.error().message));
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
  RecordLacking(record);
  DiscardUnusedTrees(snapshot_id);
}

// What the disk has says that the snapshot is complete and its trees are good. Once the blob is
// here again, the next start would believe it: then rather no record, whose trees nobody is given.
void StoreImpl::RecordLacking(const SnapshotRecord& record) {
  const std::string& id = record.snapshot.id;
  auto written = WriteRecord(record);
  if (!written.has_value()) written = WriteRecord(record);
  if (written.has_value()) return;
  LogRepeated(LogLevel::kError,
              fmt::format("store: snapshot {}: {}; its record, which is wrong now, is removed", id,
                          written.error().message));
  auto removed = filesystem_.Unlink(layout_.SnapshotRecord(id));
  if (!removed.has_value() && removed.error().code != Code::kNotFound) {
    LogRepeated(LogLevel::kError,
                fmt::format("store: snapshot {}: {}", id, removed.error().message));
    return;
  }
  auto synced = filesystem_.SyncDirectory(layout_.SnapshotsDirectory());
  if (!synced.has_value())
    LogRepeated(LogLevel::kWarning, fmt::format("store: {}", synced.error().message));
}

QuarantineSums StoreImpl::Quarantined() const {
  MutexLock lock(state_->mutex);
  const Ledger& ledger = state_->index.ledger;
  return {.blobs = ledger.quarantined_blobs().size(), .bytes = ledger.quarantined()};
}

std::vector<LeaseRecord> StoreImpl::DamagedLeases() const {
  MutexLock lock(state_->mutex);
  Index& index = state_->index;
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

void StoreImpl::TidyQuarantine() {
  trash_.Empty();
  SweepQuarantine(Sweep::kNeedless);
}

Bytes StoreImpl::SweepQuarantine(Sweep sweep) {
  std::map<Digest, Bytes> blobs;
  {
    MutexLock lock(state_->mutex);
    blobs = state_->index.ledger.quarantined_blobs();
  }
  if (blobs.empty()) return 0;
  // Trees that were withdrawn may be other names of these: what is freed then is what is counted.
  trash_.Empty();
  Bytes freed = 0;
  for (const auto& [sha256, bytes] : blobs) {
    if (RemoveQuarantined(sha256, sweep)) freed += bytes;
  }
  return freed;
}

bool StoreImpl::RemoveQuarantined(const Digest& sha256, Sweep sweep) {
  // Between the file and the ledger nobody may put the next bad file of that name there.
  auto busy = BusyScope::Take(*state_, QuarantineName(sha256));
  if (!busy) return false;
  {
    MutexLock lock(state_->mutex);
    Index& index = state_->index;
    // A withdrawn tree has another name of the file, so its bytes would stay, uncounted. Which of
    // them has it is not known, and they are rare. One that is leaving has its trees withdrawn yet.
    if (index.trees.HasWithdrawn() || index.blobs.IsLeaving(sha256)) return false;
    bool needless = index.blobs.IsPresent(sha256) || index.blobs.Users(sha256) == 0;
    if (sweep == Sweep::kNeedless && !needless) return false;
    if (!index.ledger.quarantined_blobs().contains(sha256)) return false;
  }
  auto removed = filesystem_.Unlink(layout_.Quarantined(sha256));
  if (!removed.has_value() && removed.error().code != Code::kNotFound) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("store: a blob stays in quarantine: {}", removed.error().message));
    return false;
  }
  FaultPoint("quarantine.dropped");
  LogEvent(LogLevel::kInfo,
           fmt::format("store: bad blob {} removed from quarantine/", sha256.Hex()));
  MutexLock lock(state_->mutex);
  state_->index.ledger.DropQuarantined(sha256);
  return true;
}

}  // namespace weighhouse::store
