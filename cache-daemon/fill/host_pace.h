#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "base/units.h"

namespace weighhouse::fill {

/// How many connections one host gets: as many as still bring more. It climbs: while all allowed
/// connections are in use, the throughput of an interval is compared with that before the last
/// growth, and what brought nothing is taken back. Later it tries now and then whether more would
/// bring more, and whether fewer bring as much. A host that says 429 or 503 gets half, and for a
/// while never again as many as it refused. Pure logic on the times it is given. Not thread-safe.
class HostPace {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr size_t kStart = 4;

  /// At most `limit` (≥ 1) connections, whatever they bring.
  HostPace(size_t limit, Time now);

  /// From now on. A larger one is tried soon.
  void SetLimit(size_t limit, Time now);
  size_t allowance() const { return allowance_; }
  /// Whether one connection beyond the allowance may be tried: not at a host that refused lately.
  bool MayExceed(Time now) const { return now >= ceiling_until_ && now >= hold_until_; }
  /// Bytes a second in the last interval.
  double rate() const { return rate_; }

  /// From now on `in_use` connections are open.
  void SetInUse(size_t in_use, Time now);
  void AddBytes(Bytes count);
  /// The host answered 429 or 503. What else it refuses within a second is the same refusal.
  void OnRefused(std::optional<std::chrono::milliseconds> retry_after, Time now);
  /// A connection was lost. One now and then is no reason to change anything; more than one per
  /// range's worth of bytes is.
  void OnLost(Time now);
  /// Bytes that came weren't taken, because of our own limit: the interval says nothing of the
  /// host.
  void OnLimited() { limited_ = true; }
  /// Judges the interval, if it is over. Call it about every 100 ms.
  void Measure(Time now);

 private:
  enum class Phase {
    kGrowing,  ///< at first, and after each growth: waits for its interval
    kHolding,  ///< growing brought nothing; leads to a trial when its time comes
    kFewer,    ///< tries one step down
  };
  void Integrate(Time now);
  void BeginInterval(Time now);
  /// From now on `allowance`; what comes before it has taken hold is not measured.
  void Change(size_t allowance, Time now);
  void Judge(double rate, Time now);
  /// Ends a trial that can't be judged.
  void GiveUpTrial(Time now);
  void Grow(Time now);
  void Hold(Time now, std::chrono::milliseconds until_trial);
  void TryAnother(Time now);
  /// Fewer from now on, and no growth before `pause` is over.
  void Shrink(size_t allowance, std::chrono::milliseconds pause, Time now);

  size_t limit_;
  size_t allowance_;
  size_t good_;          ///< the last allowance that was worth it
  double baseline_ = 0;  ///< what `good_` connections brought a second; 0: not measured yet
  double rate_ = 0;
  Phase phase_ = Phase::kGrowing;
  bool doubted_ = false;  ///< the growth under way brought nothing in one interval
  Time judged_;           ///< when `baseline_` was measured
  Time next_trial_{};
  bool more_next_ = false;   ///< which way the next trial goes
  bool descending_ = false;  ///< the last trial with fewer brought as much
  Time hold_until_{};

  size_t ceiling_ = 0;  ///< never more than this before `ceiling_until_`
  Time ceiling_until_{};
  std::chrono::seconds ceiling_life_;
  Time refused_{};  ///< when it last halved
  double loss_debt_ = 0;

  size_t in_use_ = 0;
  Time settled_;  ///< when the current allowance has taken hold
  Time interval_begin_;
  Time integrated_;
  Bytes bytes_ = 0;
  bool limited_ = false;
  double connection_seconds_ = 0;
};

}  // namespace weighhouse::fill
