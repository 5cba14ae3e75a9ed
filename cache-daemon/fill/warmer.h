#pragma once

#include <deque>
#include <functional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include "base/digest.h"
#include "base/mutex.h"
#include "cache-daemon/fill/warm_decision.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::fill {

/// Reads models that were just filled ahead into the page cache, past which they were written, so
/// that the first pod loads them from memory. On a thread of its own, of the lowest priority; each
/// blob once; only where MayWarm allows it, which is asked again as it goes on. Thread-safe.
/// Destroying it stops it.
class Warmer {
 public:
  using Figures = std::function<Result<MemoryFigures>()>;
  /// `store` outlives it.
  explicit Warmer(store::Store& store, Figures figures = [] { return ReadMemoryFigures(); });
  ~Warmer();
  Warmer(const Warmer&) = delete;
  Warmer& operator=(const Warmer&) = delete;

  /// Queues a complete snapshot.
  void Warm(std::string snapshot_id) EXCLUDES(mutex_);

 private:
  void Run(const std::stop_token& stop) EXCLUDES(mutex_);
  void WarmSnapshot(const std::string& snapshot_id, const std::stop_token& stop);
  /// False: not all of it, and no other now.
  bool WarmBlob(const store::Store::BlobUse& blob, const std::stop_token& stop);
  /// Logs why not.
  bool Allowed(Bytes bytes, const std::string& what);

  store::Store& store_;
  const Figures figures_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::deque<std::string> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;

  // Owned by its thread.
  std::set<Digest> warmed_;
  bool said_limited_ = false;

  std::jthread thread_;
};

}  // namespace weighhouse::fill
