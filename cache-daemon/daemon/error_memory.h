#pragma once

#include <deque>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/api/recent_error.h"

namespace weighhouse::daemon {

/// The last few warnings and errors of the log, for who asks what went wrong. What is said again
/// moves to the end and counts up, so that one trouble can't push out all others. Thread-safe.
class ErrorMemory {
 public:
  static constexpr size_t kMost = 20;
  static constexpr size_t kLongest = 2000;  ///< bytes of a message that are kept

  /// `error.times` is not looked at.
  void Add(api::RecentError error) EXCLUDES(mutex_);
  /// The newest last.
  std::vector<api::RecentError> All() const EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::deque<api::RecentError> errors_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::daemon
