#pragma once

#include <chrono>
#include <deque>
#include <utility>

#include "base/units.h"

namespace weighhouse::fill {

/// Bytes a second over the last few seconds. Not thread-safe.
class RateMeter {
 public:
  static constexpr std::chrono::seconds kWindow{4};

  /// `total` bytes so far at `now`; returns the rate. A total that went back starts a new
  /// measurement.
  double Sample(std::chrono::steady_clock::time_point now, Bytes total) {
    if (!samples_.empty() && total < samples_.back().second) samples_.clear();
    samples_.emplace_back(now, total);
    while (samples_.size() > 2 && now - samples_[1].first >= kWindow) samples_.pop_front();
    std::chrono::duration<double> span = now - samples_.front().first;
    if (span.count() <= 0) return 0;
    return static_cast<double>(total - samples_.front().second) / span.count();
  }

 private:
  std::deque<std::pair<std::chrono::steady_clock::time_point, Bytes>> samples_;
};

}  // namespace weighhouse::fill
