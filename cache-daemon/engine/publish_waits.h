#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "cache-daemon/metrics/cache_metrics.h"

namespace weighhouse {

/// One publish (or pull) from its first Acquire until its tree is ready. Thread-safe: kubelet's
/// repetitions can be under way at the same time.
class PublishWait {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit PublishWait(Time since, std::shared_ptr<std::atomic<bool>> left =
                                       std::make_shared<std::atomic<bool>>(false))
      : since_(since), left_(std::move(left)) {}

  Time since() const { return since_; }
  /// True for the first call: what is found later, a repetition found.
  bool Find(metrics::Lookup lookup) EXCLUDES(mutex_);
  /// What the first call of Find said, for the first call of this; nothing after.
  std::optional<metrics::Lookup> End() EXCLUDES(mutex_);

 private:
  friend class PublishWaits;
  bool ended() const EXCLUDES(mutex_);

  const Time since_;
  // The lease was released: what its Acquires say from then on counts no more. Shared by its waits.
  const std::shared_ptr<std::atomic<bool>> left_;
  mutable Mutex mutex_;
  std::optional<metrics::Lookup> found_ GUARDED_BY(mutex_);
  bool ended_ GUARDED_BY(mutex_) = false;
};

/// The publishes that wait, by lease. An Acquire ends with kubelet's patience, after two minutes,
/// and a large model takes several: what a pod waited for is known only across them. Thread-safe.
class PublishWaits {
 public:
  /// The wait that an Acquire of `lease_id` belongs to: the one that has not ended, else a new one.
  /// Without a lease always a new one. (shared_ptr: several Acquires may belong to it.)
  std::shared_ptr<PublishWait> Enter(const std::string& lease_id, PublishWait::Time now)
      EXCLUDES(mutex_);
  /// The lease was released. Acquires of it that are under way still can't be heard any more.
  void Leave(const std::string& lease_id) EXCLUDES(mutex_);

  /// What an Acquire of the lease, which belongs to `wait`, found: no room for its model, or some.
  enum class Room { kFound, kRefused };
  void Say(const std::string& lease_id, const PublishWait& wait, Room room, PublishWait::Time now)
      EXCLUDES(mutex_);
  /// How many publishes were refused last, in the last minutes: kubelet repeats them as long as
  /// their pods are there, so one that is no longer heard of is gone.
  size_t RefusedForSpace(PublishWait::Time now) const EXCLUDES(mutex_);

 private:
  /// Of a publish that nobody released, what is left goes after this.
  static constexpr std::chrono::hours kLongest{24};

  /// Longer than kubelet's longest pause between two tries, which is two minutes.
  static constexpr std::chrono::minutes kRefusedFor{5};

  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<PublishWait>> waits_ GUARDED_BY(mutex_);
  std::map<std::string, PublishWait::Time> refused_ GUARDED_BY(mutex_);  // when last
};

}  // namespace weighhouse
