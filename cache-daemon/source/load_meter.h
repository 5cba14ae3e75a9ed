#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/mutex.h"

namespace weighhouse::source {

/// Which part of the last quarter of a second a loop did not wait for something to do. Thread-safe.
class LoadMeter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kWindow{250};

  explicit LoadMeter(Time now) : begin_(now) {}

  void BeginWait(Time now) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    waiting_since_ = now;
  }
  void EndWait(Time now) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    waited_ += now - std::max(waiting_since_.value_or(now), begin_);
    waiting_since_.reset();
    if (now - begin_ < kWindow) return;
    before_ = BusyPart(now);
    begin_ = now;
    waited_ = {};
  }
  /// From 0 to 1.
  double Busy(Time now) const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    // A window that has only begun says little: what it lacks is taken from the one before.
    double covered = std::min(1.0, (now - begin_) / std::chrono::duration<double>(kWindow));
    return covered * BusyPart(now) + (1 - covered) * before_;
  }

 private:
  double BusyPart(Time now) const REQUIRES(mutex_) {
    if (now <= begin_) return 0;
    auto waited = waited_;
    if (waiting_since_) waited += now - std::max(*waiting_since_, begin_);
    return 1 - std::chrono::duration<double>(waited) / std::chrono::duration<double>(now - begin_);
  }

  mutable Mutex mutex_;
  Time begin_ GUARDED_BY(mutex_);
  std::chrono::steady_clock::duration waited_ GUARDED_BY(mutex_){};
  std::optional<Time> waiting_since_ GUARDED_BY(mutex_);
  double before_ GUARDED_BY(mutex_) = 0;
};

}  // namespace weighhouse::source
