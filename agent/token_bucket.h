#pragma once

#include <algorithm>
#include <chrono>

namespace weighhouse::agent {

/// `burst` at once, and then `per_second`. Pure logic on the times it is given. Not thread-safe.
class TokenBucket {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Begins full. Both above 0, `burst` at least 1.
  TokenBucket(double burst, double per_second, Time now)
      : burst_(burst), per_second_(per_second), left_(burst), filled_(now) {}

  /// When one can be taken: `now`, or later.
  Time ReadyAt(Time now) {
    Fill(now);
    if (left_ >= 1) return now;
    std::chrono::duration<double> seconds((1 - left_) / per_second_);
    return now + std::chrono::ceil<std::chrono::milliseconds>(seconds);
  }
  /// Only once it is ready.
  void Take(Time now) {
    Fill(now);
    left_ -= 1;
  }

 private:
  void Fill(Time now) {
    std::chrono::duration<double> passed = now - filled_;
    left_ = std::min(burst_, left_ + per_second_ * passed.count());
    filled_ = now;
  }

  double burst_, per_second_, left_;
  Time filled_;
};

}  // namespace weighhouse::agent
