#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"

namespace weighhouse::source {

/// Lists of files that were read lately, by who asked for what: a fill locates its files one by
/// one, long after its list was read. `Entries` is a map by path. Thread-safe.
template <class Entries>
class RecentLists {
 public:
  using Shared = std::shared_ptr<const Entries>;  // with those who look something up in it

  /// Null: none was read in the last five minutes.
  Shared Find(const std::string& key) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    auto found = lists_.find(key);
    bool fresh = found != lists_.end() && Clock::now() < found->second.read + kFor;
    return fresh ? found->second.entries : nullptr;
  }

  Shared Remember(const std::string& key, Entries entries) EXCLUDES(mutex_) {
    auto shared = std::make_shared<const Entries>(std::move(entries));
    MutexLock lock(mutex_);
    lists_[key] = {.read = Clock::now(), .entries = shared};
    size_t total = 0;
    for (const auto& [each, list] : lists_) total += list.entries->size();
    while (lists_.size() > 1 && (lists_.size() > kMost || total > kMostEntries)) {
      auto oldest =
          std::ranges::min_element(lists_, {}, [](const auto& each) { return each.second.read; });
      total -= oldest->second.entries->size();
      lists_.erase(oldest);
    }
    return shared;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes kFor{5};
  static constexpr size_t kMost = 16;
  static constexpr size_t kMostEntries = 200'000;
  struct List {
    Clock::time_point read;
    Shared entries;
  };

  Mutex mutex_;
  std::map<std::string, List> lists_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source
