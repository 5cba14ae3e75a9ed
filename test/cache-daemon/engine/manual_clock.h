#pragma once

#include <chrono>

#include "base/clock.h"
#include "base/mutex.h"

namespace weighhouse {

/// Time that only a test moves, both kinds together. Thread-safe.
class ManualClock final : public Clock {
 public:
  std::chrono::system_clock::time_point Now() const override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return std::chrono::system_clock::time_point(std::chrono::seconds(1'800'000'000)) +
           std::chrono::duration_cast<std::chrono::system_clock::duration>(elapsed_ + set_);
  }
  std::chrono::steady_clock::time_point Steady() const override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return std::chrono::steady_clock::time_point(elapsed_);
  }
  void Advance(std::chrono::nanoseconds time) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    elapsed_ += time;
  }
  /// Moves the wall clock only, as somebody who sets it.
  void Set(std::chrono::nanoseconds by) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    set_ += by;
  }

 private:
  mutable Mutex mutex_;
  std::chrono::nanoseconds elapsed_ GUARDED_BY(mutex_){0};
  std::chrono::nanoseconds set_ GUARDED_BY(mutex_){0};
};

}  // namespace weighhouse
