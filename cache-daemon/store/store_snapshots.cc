#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "cache-daemon/store/record_file.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

/// Names one file that has no blob here and says how many have none.
Result<> CheckNothingLacks(const Index& index, const Snapshot& snapshot) {
  size_t lacking = 0;
  std::string example;
  for (const SnapshotFile& file : snapshot.files) {
    if (file.blob && index.blobs.IsPresent(*file.blob)) continue;
    if (file.blob && index.blobs.IsLeaving(*file.blob)) {
      return Fail(Code::kAborted,
                  fmt::format("snapshot {}: blob {} is just being put into quarantine, try again",
                              snapshot.id, file.blob->Hex()));
    }
    if (lacking++ == 0) example = file.listed.path;
  }
  if (lacking == 0) return {};
  return Fail(Code::kFailedPrecondition,
              fmt::format("snapshot {} lacks {} of its {} files, such as {}", snapshot.id, lacking,
                          snapshot.files.size(), example));
}

}  // namespace

Result<> StoreImpl::WriteRecord(const SnapshotRecord& record) {
  TRY(WriteSnapshotRecord(filesystem_, layout_, record));
  const std::string& id = record.snapshot.id;
  MutexLock lock(state_->mutex);
  const SnapshotEntry* entry = state_->index.catalog.Find(id);
  bool used_meanwhile = entry != nullptr && entry->snapshot.last_used != record.snapshot.last_used;
  if (used_meanwhile) WriteLastUse(id);
  return {};
}

size_t StoreImpl::GiveKnownBlobs(SnapshotRecord& record, std::vector<BlobPin>& pins) {
  Index& index = state_->index;
  std::vector<Digest> given = index.GiveKnownBlobs(record);
  for (const Digest& sha256 : given) {
    index.blobs.Pin(sha256, index.blobs.SizeOf(sha256));
    pins.emplace_back(*state_, sha256);
  }
  return given.size();
}

Result<Snapshot> StoreImpl::BeginSnapshot(const Listing& listing) {
  TRY(CheckSnapshotListing(listing));
  SnapshotRecord record = NewSnapshotRecord(listing);
  const std::string id = record.snapshot.id;
  std::vector<BlobPin> pins;
  BusyScope busy = TRY(BusyScope::Take(*state_, id));
  bool known = false;
  bool changed = true;
  {
    MutexLock lock(state_->mutex);
    known = state_->index.catalog.Find(id) != nullptr;
    if (known) {
      record = state_->index.RecordOf(id);
      changed = listing.anonymous && !record.snapshot.anonymous;
      // Once everybody may use the origin that stays so: a caller with credentials proves nothing
      // against it.
      record.snapshot.anonymous = record.snapshot.anonymous || listing.anonymous;
    } else {
      record.snapshot.last_used = std::max(clock_.Now(), state_->index.catalog.newest_use());
    }
    if (!record.snapshot.complete) changed = GiveKnownBlobs(record, pins) > 0 || changed;
  }
  if (!changed) return record.snapshot;
  TRY(WriteRecord(record));
  MutexLock lock(state_->mutex);
  if (known) {
    state_->index.Replace(record);
  } else {
    state_->index.Insert(record);
  }
  return state_->index.catalog.Find(id)->snapshot;
}

std::set<std::string> StoreImpl::UsableFiles(const Listing& listing) const {
  SnapshotRecord record = NewSnapshotRecord(listing);
  MutexLock lock(state_->mutex);
  state_->index.GiveKnownBlobs(record);
  std::set<std::string> paths;
  for (const SnapshotFile& file : record.snapshot.files) {
    if (file.blob) paths.insert(file.listed.path);
  }
  return paths;
}

Result<> StoreImpl::CompleteSnapshot(const std::string& id) {
  TRY(MarkComplete(id));
  SweepQuarantine(Sweep::kNeedless);
  return {};
}

Result<> StoreImpl::MarkComplete(const std::string& id) {
  std::vector<BlobPin> pins;
  BusyScope busy = TRY(BusyScope::Take(*state_, id));
  SnapshotRecord record;
  {
    MutexLock lock(state_->mutex);
    const SnapshotEntry* entry = state_->index.catalog.Find(id);
    if (entry == nullptr) return Fail(Code::kNotFound, fmt::format("snapshot {} is not known", id));
    if (entry->snapshot.complete) return {};
    record = state_->index.RecordOf(id);
    // A fill of another snapshot may have brought what this one lacked.
    GiveKnownBlobs(record, pins);
    TRY(CheckNothingLacks(state_->index, record.snapshot));
    record.snapshot.complete = true;
  }
  FaultPoint("snapshot.before_complete");
  TRY(WriteRecord(record));
  FaultPoint("snapshot.completed");
  {
    MutexLock lock(state_->mutex);
    state_->index.Replace(record);
    state_->index.journals.erase(id);
  }
  auto removed = filesystem_.Unlink(layout_.SnapshotJournal(id));
  if (!removed.has_value() && removed.error().code != Code::kNotFound) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("store: a journal that is no longer needed stays: {}",
                            removed.error().message));
  }
  SweepIngests();
  return {};
}

void StoreImpl::Touch(const std::string& id) {
  MutexLock lock(state_->mutex);
  if (state_->index.catalog.Find(id) == nullptr) return;
  state_->index.catalog.Use(id, clock_.Now());
  WriteLastUse(id);
}

void StoreImpl::WriteLastUse(const std::string& id) {
  auto last_used = state_->index.catalog.Find(id)->snapshot.last_used;
  // Under the mutex, so that two uses reach the disk in their order; it is one inode's time, and
  // not synced.
  auto set = filesystem_.SetModified(layout_.SnapshotRecord(id), last_used);
  if (!set.has_value())
    LogRepeated(LogLevel::kWarning,
                fmt::format("store: a last use is not recorded: {}", set.error().message));
}

}  // namespace weighhouse::store
