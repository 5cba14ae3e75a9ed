#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/mutex.h"

namespace weighhouse::csi {

/// Keeps calls for one volume and for one target apart. Thread-safe; must outlive its guards.
class VolumeLocks {
 public:
  /// Frees what it holds when destroyed. May be destroyed on another thread than it was made on.
  class Guard {
   public:
    Guard(Guard&& other) noexcept
        : locks_(std::exchange(other.locks_, nullptr)),
          volume_(std::move(other.volume_)),
          target_(std::move(other.target_)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard();

   private:
    friend class VolumeLocks;
    Guard(VolumeLocks* locks, std::string volume, std::string target)
        : locks_(locks), volume_(std::move(volume)), target_(std::move(target)) {}
    VolumeLocks* locks_;
    std::string volume_;  ///< empty: not held
    std::string target_;  ///< empty: not held
  };

  /// Takes both, or nothing if one is taken.
  std::optional<Guard> TryLock(const std::string& volume, const std::string& target)
      EXCLUDES(mutex_);
  /// Takes the volume alone, or nothing if it is taken.
  std::optional<Guard> TryLockVolume(const std::string& volume) EXCLUDES(mutex_);
  /// Takes the target alone; nothing if it is still taken at `deadline`. An unpublish needs no
  /// more: kubelet unpublishes one pod's target while another pod's publish of the same volume
  /// waits.
  std::optional<Guard> WaitForTarget(const std::string& target,
                                     std::chrono::steady_clock::time_point deadline)
      EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  ConditionVariable freed_;
  std::set<std::string> volumes_ GUARDED_BY(mutex_);
  std::set<std::string> targets_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::csi
