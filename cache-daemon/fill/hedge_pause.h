#pragma once

#include <algorithm>
#include <chrono>

namespace weighhouse::fill {

/// How long a file waits after a hedge that was of no use: twice as long each time, until one
/// overtakes. Not thread-safe.
class HedgePause {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kFirst{250};
  static constexpr std::chrono::milliseconds kLongest{30000};

  bool IsOver(Time now) const { return now >= until_; }
  void OnOvertook() { next_ = kFirst; }
  void OnUseless(Time now) {
    until_ = now + next_;
    next_ = std::min(next_ * 2, kLongest);
  }

 private:
  Time until_{};
  std::chrono::milliseconds next_ = kFirst;
};

}  // namespace weighhouse::fill
