#pragma once

#include <algorithm>
#include <chrono>

#include "base/units.h"

namespace weighhouse::fill {

/// A rate that is held over time, and may be changed: what wasn't used lately may be used later,
/// but no more than kBurst brings. Pieces are taken whole, on credit where less is left, so that
/// their size doesn't matter. Pure logic on the times it is given. Not thread-safe.
class TokenBucket {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kBurst{100};

  /// Begins empty. `bytes_per_second` > 0.
  TokenBucket(Bytes bytes_per_second, Time now)
      : per_second_(static_cast<double>(bytes_per_second)), filled_(now) {}

  double per_second() const { return per_second_; }
  /// From now on; what was used on credit stays owed. `bytes_per_second` > 0.
  void SetRate(Bytes bytes_per_second, Time now) {
    Fill(now);
    per_second_ = static_cast<double>(bytes_per_second);
    Fill(now);
  }
  /// Whether something is left.
  bool Ready(Time now) {
    Fill(now);
    return left_ > 0;
  }
  /// Only if Ready.
  void Take(Bytes bytes) { left_ -= static_cast<double>(bytes); }
  /// How long until something is left; 0 if something is.
  std::chrono::milliseconds UntilReady(Time now) {
    if (Ready(now)) return std::chrono::milliseconds(0);
    std::chrono::duration<double> seconds((1 - left_) / per_second_);
    return std::chrono::ceil<std::chrono::milliseconds>(seconds);
  }

 private:
  void Fill(Time now) {
    double most = per_second_ * std::chrono::duration<double>(kBurst).count();
    left_ =
        std::min(most, left_ + per_second_ * std::chrono::duration<double>(now - filled_).count());
    filled_ = now;
  }

  double per_second_;
  double left_ = 0;
  Time filled_;
};

}  // namespace weighhouse::fill
