#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/mutex.h"

namespace weighhouse::csi {

/// Remembers the last `most` different texts, of any size, so that what somebody asks for again and
/// again is said once. Thread-safe.
class RecentTexts {
 public:
  explicit RecentTexts(size_t most) : most_(most) {}

  /// True if `text` wasn't among them; now it is.
  bool Add(std::string_view text) EXCLUDES(mutex_) {
    std::string digest = Digest::Of(text).Hex();
    MutexLock lock(mutex_);
    if (std::ranges::find(digests_, digest) != digests_.end()) return false;
    digests_.push_back(std::move(digest));
    if (digests_.size() > most_) digests_.pop_front();
    return true;
  }

 private:
  const size_t most_;
  Mutex mutex_;
  std::deque<std::string> digests_ GUARDED_BY(mutex_);  ///< the oldest first
};

}  // namespace weighhouse::csi
