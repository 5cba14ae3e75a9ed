#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/store/durable_file.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

std::string HoldName(const std::string& id) { return "hold/" + id; }

Result<> CheckSame(const HoldRecord& taken, const HoldRecord& wanted) {
  if (taken.request_fingerprint == wanted.request_fingerprint) return {};
  return Fail(Code::kAlreadyExists,
              fmt::format("volume {} holds {} here already, with other parameters",
                          Printable(taken.volume_id), FormatBytes(taken.bytes)));
}

/// What a hold on the snapshot promises in all; an error if there can be none at this moment.
Result<Bytes> HoldableBytes(const Index& index, const std::string& snapshot_id) {
  const SnapshotEntry* entry = index.catalog.Find(snapshot_id);
  if (entry == nullptr) {
    return Fail(Code::kAborted,
                fmt::format("snapshot {} was evicted just now, try again", snapshot_id));
  }
  if (entry->leaving) {
    return Fail(Code::kAborted,
                fmt::format("snapshot {} is being evicted, try again", snapshot_id));
  }
  Bytes bytes = 0;
  for (const SnapshotFile& file : entry->snapshot.files) bytes += RoundUpToBlock(file.listed.size);
  return bytes;
}

/// What a hold must find room for.
Bytes NeedOf(const Index& index, const HoldRecord& wanted) {
  if (wanted.snapshot_id.empty()) return RoundUpToBlock(wanted.bytes);
  const SnapshotEntry* entry = index.catalog.Find(wanted.snapshot_id);
  return entry == nullptr ? 0 : index.HoldNeed(entry->snapshot);
}

}  // namespace

Result<HoldRecord> StoreImpl::TakeHold(const HoldRecord& wanted) {
  std::string id = VolumeKey(wanted.volume_id);
  bool made = false;
  Promise promise{.for_snapshot = wanted.snapshot_id,
                  .need = [&](const Index& index) { return NeedOf(index, wanted); },
                  .make = [&](Index& index) -> Result<> {
                    if (index.holds.Find(id) != nullptr) return {};  // somebody else was faster
                    HoldBook::Entry hold{
                        .record = wanted,
                        .deadline = clock_.Steady() + (wanted.ends - wanted.taken)};
                    if (!wanted.snapshot_id.empty()) {
                      hold.record.bytes = TRY(HoldableBytes(index, wanted.snapshot_id));
                    }
                    index.holds.Put(id, std::move(hold));
                    made = true;
                    return {};
                  }};
  bool known = false;
  {
    MutexLock lock(state_->mutex);
    known = state_->index.holds.Find(id) != nullptr;
    promise.ingest_ids = state_->index.LackedIngests(wanted.snapshot_id);
  }
  // It counts from here, before its file is written.
  if (!known) TRY(Make(promise));
  // Not before: eviction makes other names busy.
  Result<BusyScope> busy = BusyScope::Take(*state_, HoldName(id));
  if (!busy) {
    if (made) TakeBack(id);
    return std::unexpected(std::move(busy).error());
  }
  HoldRecord taken = TRY(MakeDurable(id, wanted));
  if (!taken.snapshot_id.empty()) Touch(taken.snapshot_id);
  return taken;
}

void StoreImpl::TakeBack(const std::string& id) {
  MutexLock lock(state_->mutex);
  const HoldBook::Entry* hold = state_->index.holds.Find(id);
  if (hold != nullptr && !hold->durable) state_->index.holds.Remove(id);
}

Result<HoldRecord> StoreImpl::MakeDurable(const std::string& id, const HoldRecord& wanted) {
  HoldRecord record;
  bool durable = false;
  {
    MutexLock lock(state_->mutex);
    const HoldBook::Entry* hold = state_->index.holds.Find(id);
    if (hold == nullptr) return Fail(Code::kAborted, "the hold was dropped meanwhile, try again");
    TRY(CheckSame(hold->record, wanted));
    durable = hold->durable;
    record = hold->record;
  }
  // Synced, other than a lease: the volume that it was promised to outlives the kernel.
  Result<> written;
  if (!durable) {
    written = WriteDurably(filesystem_, layout_.Hold(id), HoldToJson(record),
                           {.written = "hold.written", .renamed = "hold.renamed"});
  }
  // It may be in place already, and would be a hold again after the next start.
  if (!written) static_cast<void>(filesystem_.Unlink(layout_.Hold(id)));
  MutexLock lock(state_->mutex);
  if (!written) {
    state_->index.holds.Remove(id);
    return std::unexpected(std::move(written).error());
  }
  HoldBook::Entry* hold = state_->index.holds.Find(id);
  if (hold == nullptr) {  // a disk that hangs: its file goes at the next start
    return Fail(Code::kAborted, "the hold ended before it was on the disk, try again");
  }
  hold->durable = true;
  return RecordOf(*hold);
}

// Not synced: what a power cut brings back ends at its recorded time.
Result<> StoreImpl::DropHold(const std::string& volume_id) {
  return DropHoldOf(volume_id, std::chrono::steady_clock::time_point::max());
}

Result<> StoreImpl::DropHoldOf(const std::string& volume_id,
                               std::chrono::steady_clock::time_point ended_by) {
  std::string id = VolumeKey(volume_id);
  BusyScope busy = TRY(BusyScope::Take(*state_, HoldName(id)));
  {
    MutexLock lock(state_->mutex);
    const HoldBook::Entry* hold = state_->index.holds.Find(id);
    if (hold == nullptr || hold->deadline > ended_by) return {};
  }
  auto removed = filesystem_.Unlink(layout_.Hold(id));
  if (!removed.has_value() && removed.error().code != Code::kNotFound) return removed;
  FaultPoint("hold.dropped");
  MutexLock lock(state_->mutex);
  state_->index.holds.Remove(id);
  return {};
}

void StoreImpl::ArriveForHold(const std::string& volume_id, const std::string& snapshot_id) {
  MutexLock lock(state_->mutex);
  HoldBook::Entry* hold = state_->index.holds.Find(VolumeKey(volume_id));
  if (hold != nullptr) hold->arrived_for = snapshot_id;
}

HoldRecord StoreImpl::RecordOf(const HoldBook::Entry& hold) const {
  HoldRecord record = hold.record;
  auto remaining = hold.deadline - clock_.Steady();
  record.ends =
      clock_.Now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(remaining);
  return record;
}

std::optional<HoldRecord> StoreImpl::FindHold(const std::string& volume_id) const {
  MutexLock lock(state_->mutex);
  const HoldBook::Entry* hold = state_->index.holds.Find(VolumeKey(volume_id));
  if (hold == nullptr) return std::nullopt;
  return RecordOf(*hold);
}

std::vector<HoldRecord> StoreImpl::Holds() const {
  MutexLock lock(state_->mutex);
  std::vector<HoldRecord> holds;
  for (const auto& [id, hold] : state_->index.holds.entries()) holds.push_back(RecordOf(hold));
  return holds;
}

void StoreImpl::SetDeadlines() {
  auto now = clock_.Now();
  auto steady = clock_.Steady();
  MutexLock lock(state_->mutex);
  HoldBook& holds = state_->index.holds;
  for (const auto& [id, hold] : std::map(holds.entries())) {
    holds.Find(id)->deadline = steady + RemainingOf(hold.record, now);
  }
}

std::optional<std::chrono::steady_clock::duration> StoreImpl::DropEndedHolds() {
  auto now = clock_.Steady();
  std::vector<HoldRecord> ended;
  std::optional<std::chrono::steady_clock::duration> next;
  {
    MutexLock lock(state_->mutex);
    for (const auto& [id, hold] : state_->index.holds.entries()) {
      if (hold.deadline <= now) {
        ended.push_back(hold.record);
      } else {
        auto left = hold.deadline - now;
        next = next ? std::min(*next, left) : left;
      }
    }
  }
  for (const HoldRecord& hold : ended) {
    LogEvent(LogLevel::kInfo,
             fmt::format("store: the hold of volume {} on {} ended: nobody came for it",
                         Printable(hold.volume_id), FormatBytes(hold.bytes)));
    Result<> dropped = DropHoldOf(hold.volume_id, now);
    if (dropped) continue;
    // Its file goes at the next start; its room is free now.
    LogRepeated(LogLevel::kWarning, fmt::format("store: {}", dropped.error().message));
    MutexLock lock(state_->mutex);
    state_->index.holds.Remove(VolumeKey(hold.volume_id));
  }
  return next;
}

}  // namespace weighhouse::store
