#include "csi/volume_locks.h"

namespace weighhouse::csi {

VolumeLocks::Guard::~Guard() {
  if (locks_ == nullptr) return;
  {
    MutexLock lock(locks_->mutex_);
    if (!volume_.empty()) locks_->volumes_.erase(volume_);
    if (!target_.empty()) locks_->targets_.erase(target_);
  }
  locks_->freed_.NotifyAll();
}

std::optional<VolumeLocks::Guard> VolumeLocks::TryLock(const std::string& volume,
                                                       const std::string& target) {
  MutexLock lock(mutex_);
  if (volumes_.contains(volume) || targets_.contains(target)) return std::nullopt;
  volumes_.insert(volume);
  targets_.insert(target);
  return Guard(this, volume, target);
}

std::optional<VolumeLocks::Guard> VolumeLocks::TryLockVolume(const std::string& volume) {
  MutexLock lock(mutex_);
  if (!volumes_.insert(volume).second) return std::nullopt;
  return Guard(this, volume, "");
}

std::optional<VolumeLocks::Guard> VolumeLocks::WaitForTarget(
    const std::string& target, std::chrono::steady_clock::time_point deadline) {
  MutexLock lock(mutex_);
  while (targets_.contains(target)) {
    if (!freed_.WaitUntil(lock, deadline) && targets_.contains(target)) return std::nullopt;
  }
  targets_.insert(target);
  return Guard(this, "", target);
}

}  // namespace weighhouse::csi
