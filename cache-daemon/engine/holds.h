#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "cache-daemon/engine/acquisition.h"

namespace weighhouse {

/// Takes the holds of volumes, and ends those that nobody comes for in time. Thread-safe; held by
/// shared_ptr, because its timers refer to it.
class Holds final : public std::enable_shared_from_this<Holds> {
 public:
  /// Runs a task, which may touch the disk, once the time has passed.
  using RunAfter =
      std::function<void(std::chrono::steady_clock::duration, std::function<void()> task)>;
  Holds(const EngineParts& parts, RunAfter run_after, std::chrono::seconds timeout)
      : parts_(parts), run_after_(std::move(run_after)), timeout_(timeout) {}

  /// Begins to watch what was taken before this process. Once.
  void Start() EXCLUDES(mutex_) { EndThoseDue(); }
  /// Engine::Hold.
  Result<HeldRoom> Hold(const HoldRequest& request) EXCLUDES(mutex_);
  /// Of holds that are taken from now on.
  void SetTimeout(std::chrono::seconds timeout) EXCLUDES(mutex_);

 private:
  Result<HeldRoom> HoldModel(const HoldRequest& request, store::HoldRecord wanted);
  /// A snapshot that `model` is known to have meant, also where nobody can be asked.
  std::optional<store::Snapshot> KnownSnapshot(const ModelReference& model) const;
  Result<HeldRoom> Take(const store::HoldRecord& wanted) EXCLUDES(mutex_);
  void EndThoseDue() EXCLUDES(mutex_);
  /// Has EndThoseDue run after `time`, unless it will sooner.
  void WakeAfter(std::chrono::steady_clock::duration time) EXCLUDES(mutex_);

  const EngineParts parts_;
  const RunAfter run_after_;
  Mutex mutex_;
  std::chrono::seconds timeout_ GUARDED_BY(mutex_);
  std::optional<std::chrono::steady_clock::time_point> wakes_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse
