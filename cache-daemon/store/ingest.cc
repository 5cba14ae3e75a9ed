#include "cache-daemon/store/ingest.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/io/clone_range.h"

namespace weighhouse::store {
namespace {

constexpr unsigned kStagedMode = 0600;
constexpr unsigned kReadOnlyMode = 0444;

bool IsOf(const SnapshotFile& file, const FileIdentity& identity, Bytes size) {
  return file.listed.size == size && file.listed.identity == identity;
}

}  // namespace

Result<std::unique_ptr<StagedIngest>> StagedIngest::Create(StoreImpl& store, const std::string& id,
                                                           const IngestContent& content) {
  io::Filesystem& filesystem = store.filesystem_;
  std::string path = store.layout_.IngestData(id);
  TRY(io::RemoveTree(filesystem, store.layout_.Ingest(id)));
  TRY(filesystem.MakeDirectory(store.layout_.Ingest(id)));
  io::OpenedFile file = TRY(filesystem.CreateFile(path, io::IoMode::kDirect));
  FaultPoint("ingest.created");
  Bytes allocated = RoundUpToBlock(content.size);
  if (allocated > 0) TRY(filesystem.Allocate(file.fd.get(), allocated, path));
  FaultPoint("ingest.allocated");
  MutexLock lock(store.state_->mutex);
  store.state_->index.ledger.SetIngestBytes(id, allocated);
  return std::make_unique<StagedIngest>(store, id, content, std::move(file),
                                        std::vector<ByteRange>());
}

Result<std::unique_ptr<StagedIngest>> StagedIngest::Resume(StoreImpl& store, const std::string& id,
                                                           const IngestContent& content) {
  io::Filesystem& filesystem = store.filesystem_;
  IngestState state = TRY(ReadIngestState(filesystem, store.layout_, id));
  if (state.content != content) return Fail(Code::kDataLoss, "it is another file's");
  std::string path = store.layout_.IngestData(id);
  {
    // A commit that came to nothing has made it read-only and cut it to its size.
    io::OpenedFile sealed = TRY(filesystem.OpenForRead(path, io::IoMode::kBuffered));
    TRY(filesystem.ChangeMode(sealed.fd.get(), kStagedMode, path));
  }
  io::OpenedFile file = TRY(filesystem.OpenForWrite(path, io::IoMode::kDirect));
  Bytes allocated = RoundUpToBlock(content.size);
  io::FileStatus status = TRY(filesystem.Status(path));
  // xfs wants room for the whole range, also where it is allocated: only a file with holes asks.
  if (status.allocated < allocated) TRY(filesystem.Allocate(file.fd.get(), allocated, path));
  TRY(filesystem.Truncate(file.fd.get(), allocated, path));
  FaultPoint("ingest.resumed");
  MutexLock lock(store.state_->mutex);
  store.state_->index.ledger.SetIngestBytes(id, allocated);
  return std::make_unique<StagedIngest>(store, id, content, std::move(file),
                                        std::move(state.durable));
}

StagedIngest::StagedIngest(StoreImpl& store, std::string id, IngestContent content,
                           io::OpenedFile file, std::vector<ByteRange> resumed)
    : store_(store),
      id_(std::move(id)),
      content_(std::move(content)),
      size_(content_.size),
      path_(store.layout_.IngestData(id_)),
      file_(std::move(file)),
      resumed_(std::move(resumed)),
      state_written_(!resumed_.empty()),
      recorded_(!resumed_.empty()) {}

StagedIngest::~StagedIngest() {
  file_.fd.reset();
  if (!Leave()) Remove();
}

bool StagedIngest::Leave() {
  if (!recorded_ || discarded_ || step_ >= Step::kPlaced) return false;
  MutexLock lock(store_.state_->mutex);
  Index& index = store_.state_->index;
  if (!index.IsWanted(content_)) return false;
  index.ledger.EndIngest(id_);
  index.idle_ingests.Add(id_, content_, RoundUpToBlock(size_));
  return true;
}

void StagedIngest::Remove() {
  {
    // Before the bytes go: the ledger may promise too little for a moment, never too much.
    MutexLock lock(store_.state_->mutex);
    store_.state_->index.ledger.SetIngestBytes(id_, 0);
  }
  io::Filesystem& filesystem = store_.filesystem_;
  Result<> removed;
  if (state_written_ && discarded_) {
    // First, and for good: no crash may bring wrong bytes back.
    removed = filesystem.Unlink(store_.layout_.IngestState(id_));
    if (removed) removed = filesystem.SyncDirectory(store_.layout_.Ingest(id_));
    FaultPoint("ingest.state_removed");
  }
  if (removed) removed = io::RemoveTree(filesystem, store_.layout_.Ingest(id_));
  if (!removed) {
    LogRepeated(LogLevel::kWarning, fmt::format("store: an ingest stays until the next start: {}",
                                                removed.error().message));
  }
  MutexLock lock(store_.state_->mutex);
  store_.state_->index.ledger.EndIngest(id_);
}

Result<Bytes> StagedIngest::ShareBlocks(int from) {
  if (!resumed_.empty()) return 0;
  Bytes shared = io::CloneRange(fd(), from, size_);
  if (shared == 0) return 0;
  std::vector<ByteRange> ranges = {{.begin = 0, .end = shared}};
  TRY(RecordDurable(ranges));
  resumed_ = std::move(ranges);
  return shared;
}

Result<> StagedIngest::RecordDurable(const std::vector<ByteRange>& written) {
  io::Filesystem& filesystem = store_.filesystem_;
  TRY(SyncData());
  FaultPoint("ingest.data_synced");
  state_written_ = true;  // perhaps: what was begun may be found after a crash
  TRY(WriteIngestState(filesystem, store_.layout_, id_, {.content = content_, .durable = written}));
  if (!recorded_) TRY(filesystem.SyncDirectory(store_.layout_.IngestsDirectory()));
  recorded_ = true;
  FaultPoint("ingest.recorded");
  return {};
}

Result<> StagedIngest::SyncData() {
  // After a failed sync the kernel takes the pages for clean: the next one would say nothing.
  if (lost_) return std::unexpected(*lost_);
  Result<> synced = store_.filesystem_.SyncData(fd(), path_);
  if (!synced) lost_ = synced.error();
  return synced;
}

Result<> StagedIngest::CheckCommit(const std::string& snapshot_id, const FileIdentity& identity,
                                   Bytes size, const Digest& sha256) const {
  if (step_ == Step::kCommitted) {
    return Fail(Code::kFailedPrecondition, fmt::format("ingest {} is committed already", id_));
  }
  if (size != size_) {
    return Fail(Code::kInvalidArgument,
                fmt::format("ingest {} was started for {} bytes and can't be committed with {}",
                            id_, size_, size));
  }
  if (identity.kind == FileIdentity::Kind::kSha256 && identity.value != sha256.Hex()) {
    return Fail(Code::kInvalidArgument, fmt::format("digest mismatch: want sha256:{} got sha256:{}",
                                                    identity.value, sha256.Hex()));
  }
  TRY(CheckKnown(snapshot_id, identity, size));
  if (step_ != Step::kWriting) return {};
  io::FileStatus status = TRY(store_.filesystem_.Status(path_));
  if (status.size >= size) return {};
  return Fail(Code::kDataLoss,
              fmt::format("{}: {} bytes are staged of {}", path_, status.size, size));
}

Result<> StagedIngest::CheckKnown(const std::string& snapshot_id, const FileIdentity& identity,
                                  Bytes size) const {
  MutexLock lock(store_.state_->mutex);
  const SnapshotEntry* entry = store_.state_->index.catalog.Find(snapshot_id);
  if (entry == nullptr) {
    return Fail(Code::kNotFound, fmt::format("snapshot {} is not known", snapshot_id));
  }
  bool listed = std::ranges::any_of(
      entry->snapshot.files, [&](const SnapshotFile& file) { return IsOf(file, identity, size); });
  if (listed) return {};
  return Fail(Code::kInvalidArgument,
              fmt::format("snapshot {} lists no file of {} bytes with {} '{}'", snapshot_id, size,
                          IdentityKindName(identity.kind), Printable(identity.value)));
}

Result<> StagedIngest::Commit(const std::string& snapshot_id, const FileIdentity& identity,
                              Bytes size, const Digest& sha256) {
  TRY(CheckCommit(snapshot_id, identity, size, sha256));
  FaultPoint("ingest.before_commit");
  if (step_ == Step::kWriting) TRY(SyncStaged());
  BlobPin pin = TRY(BlobPin::Take(*store_.state_, sha256, size));
  BusyScope busy = TRY(BusyScope::Take(*store_.state_, snapshot_id));
  TRY(CheckKnown(snapshot_id, identity, size));
  TRY(Journal(snapshot_id, identity, sha256));
  if (step_ == Step::kSynced) TRY(Place(sha256));
  // Also where the blob was there: the commit that placed it may not have come as far.
  TRY(store_.filesystem_.SyncDirectory(store_.layout_.BlobDirectory(sha256)));
  Publish(snapshot_id, identity, sha256);
  FaultPoint("ingest.committed");
  return {};
}

Result<> StagedIngest::Seal() {
  if (step_ != Step::kWriting) return {};
  TRY(SyncStaged());
  file_.fd.reset();
  return {};
}

Result<> StagedIngest::SyncStaged() {
  io::Filesystem& filesystem = store_.filesystem_;
  TRY(filesystem.Truncate(fd(), size_, path_));
  FaultPoint("ingest.truncated");
  TRY(filesystem.ChangeMode(fd(), kReadOnlyMode, path_));
  TRY(SyncData());
  FaultPoint("ingest.synced");
  step_ = Step::kSynced;
  return {};
}

Result<> StagedIngest::Journal(const std::string& snapshot_id, const FileIdentity& identity,
                               const Digest& sha256) {
  io::Filesystem& filesystem = store_.filesystem_;
  TRY(filesystem.AppendAndSync(store_.layout_.SnapshotJournal(snapshot_id),
                               JournalLine(identity, size_, sha256)));
  bool named = false;
  {
    MutexLock lock(store_.state_->mutex);
    named = store_.state_->index.journals.contains(snapshot_id);
  }
  if (!named) {
    TRY(filesystem.SyncDirectory(store_.layout_.SnapshotsDirectory()));
    MutexLock lock(store_.state_->mutex);
    store_.state_->index.journals.insert(snapshot_id);
  }
  FaultPoint("ingest.verified_recorded");
  return {};
}

Result<> StagedIngest::MakeBlobDirectory(const Digest& sha256) {
  io::Filesystem& filesystem = store_.filesystem_;
  std::string directory = store_.layout_.BlobDirectory(sha256);
  auto made = filesystem.MakeDirectory(directory);
  bool there = !made.has_value() && made.error().code == Code::kAlreadyExists;
  if (!made.has_value() && !there) return made;
  return filesystem.SyncDirectory(store_.layout_.BlobsDirectory());
}

Result<> StagedIngest::Place(const Digest& sha256) {
  io::Filesystem& filesystem = store_.filesystem_;
  std::string blob = store_.layout_.Blob(sha256);
  auto placed = filesystem.Rename(path_, blob, io::Replace::kNever);
  if (!placed.has_value() && placed.error().code == Code::kNotFound) {
    TRY(MakeBlobDirectory(sha256));
    placed = filesystem.Rename(path_, blob, io::Replace::kNever);
  }
  bool there = !placed.has_value() && placed.error().code == Code::kAlreadyExists;
  if (!placed.has_value() && !there) return placed;
  // Where the blob was there already, ours goes with the ingest's directory.
  step_ = Step::kPlaced;
  FaultPoint("ingest.renamed");
  return {};
}

void StagedIngest::Publish(const std::string& snapshot_id, const FileIdentity& identity,
                           const Digest& sha256) {
  MutexLock lock(store_.state_->mutex);
  Index& index = store_.state_->index;
  bool fresh = !index.blobs.IsPresent(sha256);
  index.blobs.MarkPresent(sha256);
  index.Deliver(snapshot_id, {.identity = identity, .size = size_, .sha256 = sha256});
  index.ledger.SetIngestBytes(id_, 0);
  step_ = Step::kCommitted;
  if (!fresh) return;
  index.ledger.Cover(snapshot_id, sha256, RoundUpToBlock(size_));
  auto evicted = store_.state_->recent_evictions.Take(sha256, store_.clock_.Steady());
  if (evicted) store_.metrics_.OnRefetched(*evicted, size_);
}

}  // namespace weighhouse::store
