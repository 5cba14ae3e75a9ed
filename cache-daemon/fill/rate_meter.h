#pragma once

#include <chrono>
#include <deque>
#include <utility>

#include "base/units.h"

namespace weighhouse::fill {

/// Bytes a second over the last few seconds, or another window. Not thread-safe.
class RateMeter {
 public:
  explicit RateMeter(std::chrono::milliseconds window = std::chrono::seconds(4))
      : window_(window) {}

  /// `total` bytes so far at `now`; returns the rate. A total that went back starts a new
  /// measurement.
  double Sample(std::chrono::steady_clock::time_point now, Bytes total) {
    if (!samples_.empty() && total < samples_.back().second) samples_.clear();
    samples_.emplace_back(now, total);
    while (samples_.size() > 2 && now - samples_[1].first >= window_) samples_.pop_front();
    std::chrono::duration<double> span = now - samples_.front().first;
    if (span.count() <= 0) return 0;
    return static_cast<double>(total - samples_.front().second) / span.count();
  }

 private:
  std::chrono::milliseconds window_;
  std::deque<std::pair<std::chrono::steady_clock::time_point, Bytes>> samples_;
};

}  // namespace weighhouse::fill
