#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"
#include "cache-daemon/store/store.h"

namespace weighhouse {

/// Says whether an acquisition may still take its lease. Guarded by its gate.
struct LeaseIntent {
  std::string lease_id;
  uint64_t number = 0;  ///< the later announced, the greater
  bool released = false;
};

/// Takes and releases leases such that a Release that overtakes its Acquire leaves no lease behind.
/// Operations on one lease take turns, so that the two can't cross; those on different leases don't
/// wait for each other. Thread-safe. Its mutex is held over none of the store's operations.
/// Who takes or releases calls Store::TidyQuarantine afterwards.
class LeaseGate {
 public:
  LeaseGate(store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

  /// Announces that an acquisition will take `lease_id`; forget it by dropping the pointer.
  std::shared_ptr<LeaseIntent> Announce(const std::string& lease_id) EXCLUDES(mutex_);
  /// kCancelled if the lease was released since `intent` was announced. This and what follows:
  /// kAborted if another operation on the lease doesn't end.
  Result<> Take(const LeaseIntent& intent, const store::LeaseRecord& lease) EXCLUDES(mutex_);
  /// The acquisition failed for good: releases what it and earlier ones took. A later one's lease
  /// stays: its caller may have mounted the volume by now.
  Result<> Undo(const LeaseIntent& intent) EXCLUDES(mutex_);
  /// Takes a lease for a mount that was seen after `epoch` without one. kCancelled if it was
  /// released since: the mount was read before it went.
  Result<> Recreate(const store::LeaseRecord& lease, std::chrono::system_clock::time_point epoch)
      EXCLUDES(mutex_);
  /// Drops the lease, and makes the acquisitions under way for it come too late.
  Result<> Release(const std::string& lease_id) EXCLUDES(mutex_);

 private:
  using Time = std::chrono::system_clock::time_point;
  class Turn;

  /// Intents announced after number `latest` may still take the lease, whose turn the caller has.
  void MarkReleased(uint64_t latest, const std::string& lease_id) REQUIRES(mutex_);
  void ForgetOldReleases(Time now) REQUIRES(mutex_);

  store::Store& store_;
  const Clock& clock_;
  Mutex mutex_;
  ConditionVariable turn_ended_;
  std::set<std::string> turns_ GUARDED_BY(mutex_);  // leases with an operation under way
  uint64_t last_number_ GUARDED_BY(mutex_) = 0;
  /// Which intent took each lease last (of those taken since the start).
  std::map<std::string, uint64_t> takers_ GUARDED_BY(mutex_);
  std::multimap<std::string, std::weak_ptr<LeaseIntent>> announced_ GUARDED_BY(mutex_);
  /// When leases were released lately, and in which order.
  std::map<std::string, Time> released_ GUARDED_BY(mutex_);
  std::deque<std::pair<Time, std::string>> releases_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse
