#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "base/units.h"

namespace weighhouse::source {

/// What is kept, beside the last one.
struct RecentLimits {
  std::chrono::minutes age{5};
  size_t count = 16;
  Bytes bytes = 64 * kMiB;
};

/// What was read lately, by who asked for what, such as a list: a fill locates its files one by
/// one, long after it was read. What is too old is let go of whenever anybody asks, and the oldest
/// where there is too much. Thread-safe.
template <class Value>
class RecentLists {
 public:
  using Shared = std::shared_ptr<const Value>;  // with those who look something up in it
  using Clock = std::chrono::steady_clock;

  explicit RecentLists(RecentLimits limits = {}) : limits_(limits) {}

  /// Null: none was read lately.
  Shared Find(const std::string& key, Clock::time_point now = Clock::now()) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    DropOld(now);
    auto found = kept_.find(key);
    return found == kept_.end() ? nullptr : found->second.value;
  }

  /// `bytes`: what the value takes in memory, about.
  Shared Remember(const std::string& key, Value value, Bytes bytes,
                  Clock::time_point now = Clock::now()) EXCLUDES(mutex_) {
    auto shared = std::make_shared<const Value>(std::move(value));
    MutexLock lock(mutex_);
    DropOld(now);
    auto before = kept_.find(key);
    if (before != kept_.end()) Drop(before);
    kept_[key] = {.read = now, .bytes = bytes, .value = shared};
    bytes_ += bytes;
    while (kept_.size() > 1 && (kept_.size() > limits_.count || bytes_ > limits_.bytes)) {
      Drop(std::ranges::min_element(kept_, {}, [](const auto& each) { return each.second.read; }));
    }
    return shared;
  }

  size_t size() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return kept_.size();
  }

 private:
  struct Kept {
    Clock::time_point read;
    Bytes bytes = 0;
    Shared value;
  };
  using Map = std::map<std::string, Kept>;

  void Drop(typename Map::iterator each) REQUIRES(mutex_) {
    bytes_ -= each->second.bytes;
    kept_.erase(each);
  }
  void DropOld(Clock::time_point now) REQUIRES(mutex_) {
    for (auto each = kept_.begin(); each != kept_.end();) {
      auto next = std::next(each);
      if (each->second.read + limits_.age <= now) Drop(each);
      each = next;
    }
  }

  const RecentLimits limits_;
  Mutex mutex_;
  Map kept_ GUARDED_BY(mutex_);
  Bytes bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace weighhouse::source
