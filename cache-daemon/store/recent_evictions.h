#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>

#include "base/digest.h"
#include "cache-daemon/metrics/cache_metrics.h"

namespace weighhouse::store {

/// Which blobs evictions removed a short while ago, and why: what of them is fetched again shows a
/// cache too small for what its node runs. In memory only, so a restart forgets it. Guarded by the
/// store's mutex; does no I/O.
///
/// Invariant: there are at most kMost, each an hour old at most when Add was last called.
class RecentEvictions {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Reason = metrics::EvictionReason;

  /// A blob that comes back after this or later was not evicted too early.
  static constexpr std::chrono::hours kRecent{1};
  /// About 10 MB. Of more in one hour those evicted first are forgotten.
  static constexpr size_t kMost = 65'536;

  /// The blob went at `now`, which never goes back.
  void Add(const Digest& sha256, Reason reason, Time now);
  /// The blob is here again: why it had been evicted, if that was less than kRecent ago. Nothing
  /// from then on, until it is evicted once more.
  std::optional<Reason> Take(const Digest& sha256, Time now);

  size_t size() const { return oldest_first_.size(); }

 private:
  struct Eviction {
    Time when;
    Reason reason;
  };
  struct Entry {
    Digest sha256;
    Time when;
  };
  void ForgetOldest();

  std::map<Digest, Eviction> evictions_;
  std::deque<Entry> oldest_first_;  ///< those taken or evicted once more are here still
};

}  // namespace weighhouse::store
