#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/fault.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

constexpr size_t kPiece = size_t{4} << 20;
constexpr size_t kAlignment = 4096;
constexpr std::chrono::minutes kPatience{3};

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};

/// What the blob at `path` hashes to, or why it can't be read (an error of the disk is a finding,
/// not a failure). kCancelled if `stop` says so.
Result<std::string> HashFile(io::Filesystem& filesystem, const std::string& path,
                             const std::function<bool()>& stop) {
  io::OpenedFile file = TRY(filesystem.OpenForRead(path, io::IoMode::kDirect));
  std::unique_ptr<std::byte, FreeMemory> piece(
      static_cast<std::byte*>(std::aligned_alloc(kAlignment, kPiece)));
  if (piece == nullptr) return Fail(Code::kResourceExhausted, "no memory to read blobs with");
  Hasher hasher(Hasher::Algorithm::kSha256);
  Bytes offset = 0;
  while (true) {
    if (stop && stop()) return Fail(Code::kCancelled, "verification was stopped");
    ssize_t size = ::pread(file.fd.get(), piece.get(), kPiece, static_cast<off_t>(offset));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fmt::format("unreadable at byte {}: {}", offset, std::strerror(errno));
    hasher.Update(std::span(piece.get(), static_cast<size_t>(size)));
    offset += static_cast<Bytes>(size);
    // Only the end of the file gives less than was asked; O_DIRECT couldn't go on from an odd
    // offset.
    if (static_cast<size_t>(size) < kPiece) return hasher.FinishHex();
  }
}

}  // namespace

Result<std::optional<std::string>> StoreImpl::VerifyBlob(const Digest& sha256,
                                                         const std::function<bool()>& stop) {
  uint64_t version = 0;
  {
    MutexLock lock(state_->mutex);
    version = state_->index.blobs.Version(sha256);
  }
  if (version == 0) return Fail(Code::kNotFound, fmt::format("blob {} is not here", sha256.Hex()));
  std::string path = layout_.Blob(sha256);
  auto hashed = HashFile(filesystem_, path, stop);
  bool missing = !hashed.has_value() && hashed.error().code == Code::kNotFound;
  if (!hashed.has_value() && !missing) {
    return std::unexpected(std::move(hashed).error().Within("verify " + path));
  }
  std::string found = missing ? "missing" : std::move(hashed).value();
  if (found == sha256.Hex()) return std::nullopt;
  TRY(Quarantine(sha256, version));
  return found;
}

Result<UniqueFd> StoreImpl::OpenBlob(const Digest& sha256) const {
  io::OpenedFile file = TRY(filesystem_.OpenForRead(layout_.Blob(sha256), io::IoMode::kBuffered));
  return std::move(file.fd);
}

Result<> StoreImpl::Quarantine(const Digest& sha256, uint64_t version) {
  std::vector<std::string> affected;
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
    if (index.blobs.Version(sha256) != version) return {};
    // From here no tree with it is handed out, no snapshot is given it, and no commit of it goes
    // on.
    index.blobs.BeginLeaving(sha256);
    affected = index.catalog.Having(sha256);
  }
  auto moved =
      filesystem_.Rename(layout_.Blob(sha256), layout_.Quarantined(sha256), io::Replace::kAllowed);
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
  for (const std::string& id : affected) MarkLacking(id, sha256);
  FaultPoint("quarantine.recorded");
  spdlog::error("store: blob {} {}; {} snapshots must fetch it again", sha256.Hex(),
                missing ? "is gone from the disk" : "is bad and now in quarantine/",
                affected.size());
  {
    MutexLock lock(state_->mutex);
    Index& index = state_->index;
    if (!missing) index.ledger.SetQuarantined(sha256, RoundUpToBlock(index.blobs.SizeOf(sha256)));
    index.ledger.Uncover(sha256);
    index.blobs.MarkAbsent(sha256);
  }
  state_->changed.NotifyAll();
  metrics_.OnQuarantined();
  return {};
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

std::vector<Store::BlobUse> StoreImpl::Blobs(const std::string& snapshot_id) const {
  MutexLock lock(state_->mutex);
  std::map<Digest, BlobUse> uses;
  for (const auto& [id, entry] : state_->index.catalog.entries()) {
    if (!snapshot_id.empty() && id != snapshot_id) continue;
    for (const SnapshotFile& file : entry.snapshot.files) {
      if (!file.blob) continue;
      BlobUse& use = uses[*file.blob];
      use.sha256 = *file.blob;
      use.size = file.listed.size;
      use.paths.push_back(fmt::format("{}/{}", id, file.listed.path));
    }
  }
  std::vector<BlobUse> all;
  all.reserve(uses.size());
  for (auto& [sha256, use] : uses) all.push_back(std::move(use));
  return all;
}

}  // namespace weighhouse::store
