#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "cache-daemon/store/store.h"

namespace weighhouse {

/// Takes the holds of volumes, and ends those that nobody comes for in time; forgets the volumes
/// whose deletes got lost. Thread-safe; held by shared_ptr, because its timers refer to it.
class Holds final : public std::enable_shared_from_this<Holds> {
 public:
  /// Runs a task, which may touch the disk, once the time has passed.
  using RunAfter =
      std::function<void(std::chrono::steady_clock::duration, std::function<void()> task)>;
  Holds(store::Store& store, const Clock& clock, RunAfter run_after, std::chrono::seconds timeout)
      : store_(store), clock_(clock), run_after_(std::move(run_after)), timeout_(timeout) {}

  /// Begins to watch what was taken before this process. Once.
  void Start() EXCLUDES(mutex_) { EndThoseDue(); }
  /// Store::TakeHold, from now on and until the timeout.
  Result<store::HoldRecord> Take(store::HoldRecord wanted) EXCLUDES(mutex_);
  /// Of holds that are taken from now on.
  void SetTimeout(std::chrono::seconds timeout) EXCLUDES(mutex_);

 private:
  using Time = std::chrono::steady_clock::time_point;

  void EndThoseDue() EXCLUDES(mutex_);
  /// Has EndThoseDue run after `time`, unless it will sooner.
  void WakeAfter(std::chrono::steady_clock::duration time) EXCLUDES(mutex_);
  void Woke(Time when) EXCLUDES(mutex_);

  store::Store& store_;
  const Clock& clock_;
  const RunAfter run_after_;
  Mutex mutex_;
  std::chrono::seconds timeout_ GUARDED_BY(mutex_);
  std::optional<Time> wakes_ GUARDED_BY(mutex_);  // the next time
};

}  // namespace weighhouse
