#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"
#include "cache-daemon/engine/engine.h"
#include "cache-daemon/engine/read_pace.h"
#include "cache-daemon/engine/verifier.h"

namespace weighhouse {

/// Reads every blob again, within a daily budget and at a low rate, and waits while anything is
/// filled. It goes round the blobs in the order of their names, a pass at most once a day, so the
/// next one is the one that it read longest ago, and where it is is one name, which the store keeps
/// over restarts. A blob is read whole: what it takes beyond the budget is taken from the next
/// days. Run is for one thread; View is thread-safe.
class Scrubber {
 public:
  struct Parts {
    store::Store& store;
    Verifier& verifier;
    const Clock& clock;
    std::function<bool()> busy;  ///< fills are under way
    ReadPace::Wait wait;
  };
  /// `options.daily_bytes` > 0. What `parts` refers to outlives it.
  Scrubber(const ScrubOptions& options, Parts parts);

  /// Reads and waits until `parts.wait` says to stop.
  void Run();
  /// Run at the lowest priority, which the thread keeps.
  void RunPolitely();
  ScrubView View() const EXCLUDES(mutex_);

 private:
  /// Does what there is to do now; how long to wait then.
  std::chrono::nanoseconds Step();
  /// Begins a pass if the last one is a day ago; else how long to wait.
  std::optional<std::chrono::nanoseconds> EnsurePass();
  void CheckNext();
  bool AfterPiece(Bytes bytes, ReadPace& pace);
  /// A new day has a new budget.
  void RollDay() EXCLUDES(mutex_);
  void Record() EXCLUDES(mutex_);

  const ScrubOptions options_;
  const Parts parts_;
  std::map<std::string, Digest> rest_;  ///< of the pass, by name; those that come later are fresh
  std::chrono::steady_clock::time_point recorded_;
  mutable Mutex mutex_;
  store::ScrubState state_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse
