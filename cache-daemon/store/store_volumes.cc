#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/store/durable_file.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

std::string VolumeName(const std::string& key) { return "volume/" + key; }

/// A volume whose delete got lost would be remembered for ever.
constexpr std::chrono::hours kForgottenAfter{30 * 24};

}  // namespace

Result<> StoreImpl::RecordVolume(const VolumeRecord& volume) {
  std::string key = VolumeKey(volume.volume_id);
  BusyScope busy = TRY(BusyScope::Take(*state_, VolumeName(key)));
  std::string path = layout_.Volume(key);
  Result<> written = WriteDurably(filesystem_, path, VolumeToJson(volume),
                                  {.written = "volume.written", .renamed = "volume.renamed"});
  if (!written) {
    // It may be in place already, and would be answered from after the next start.
    Result<> removed = filesystem_.Unlink(path);
    if (!removed && removed.error().code != Code::kNotFound) {
      LogRepeated(LogLevel::kWarning, fmt::format("store: {}", removed.error().message));
    }
    return written;
  }
  MutexLock lock(state_->mutex);
  state_->index.volumes.Put(volume);
  return {};
}

// Synced: one that a power cut brought back would be answered from without its hold.
Result<> StoreImpl::ForgetVolume(const std::string& volume_id) {
  std::string key = VolumeKey(volume_id);
  BusyScope busy = TRY(BusyScope::Take(*state_, VolumeName(key)));
  // Of one that isn't known too: it may be in place though its recording failed.
  Result<> removed = filesystem_.Unlink(layout_.Volume(key));
  if (!removed && removed.error().code != Code::kNotFound) return removed;
  FaultPoint("volume.forgotten");
  TRY(filesystem_.SyncDirectory(layout_.VolumesDirectory()));
  MutexLock lock(state_->mutex);
  state_->index.volumes.Remove(key);
  return {};
}

std::optional<VolumeRecord> StoreImpl::FindVolume(const std::string& volume_id) const {
  MutexLock lock(state_->mutex);
  const VolumeRecord* volume = state_->index.volumes.Find(VolumeKey(volume_id));
  if (volume == nullptr) return std::nullopt;
  return *volume;
}

void StoreImpl::ForgetOldVolumes() {
  std::vector<VolumeRecord> old;
  {
    MutexLock lock(state_->mutex);
    for (VolumeRecord& volume : state_->index.volumes.CreatedBy(clock_.Now() - kForgottenAfter)) {
      bool is_used = state_->index.leases.HoldsVolume(volume.volume_id);
      if (!is_used) old.push_back(std::move(volume));
    }
  }
  for (const VolumeRecord& volume : old) {
    LogEvent(LogLevel::kInfo,
             fmt::format("store: volume {} of {} was created long ago, and is remembered no more",
                         Printable(volume.volume_id), volume.model));
    Result<> forgotten = ForgetVolume(volume.volume_id);
    if (!forgotten)
      LogRepeated(LogLevel::kWarning, fmt::format("store: {}", forgotten.error().message));
  }
}

}  // namespace weighhouse::store
