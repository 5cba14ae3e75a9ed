#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "base/clock.h"
#include "base/units.h"

namespace weighhouse {

/// Holds what is read from the disk to a rate: each piece is paid for after it was read, and what
/// wasn't used isn't saved up. Not thread-safe.
class ReadPace {
 public:
  /// Waits so long; false if it was told to stop before or meanwhile.
  using Wait = std::function<bool(std::chrono::nanoseconds)>;

  /// `bytes_per_second` 0: no limit. `clock` outlives it.
  ReadPace(Bytes bytes_per_second, const Clock& clock, Wait wait)
      : bytes_per_second_(bytes_per_second),
        clock_(clock),
        wait_(std::move(wait)),
        paid_until_(clock.Steady()) {}

  /// Waits until `bytes` more may have been read; false: stop.
  bool After(Bytes bytes) {
    auto now = clock_.Steady();
    paid_until_ = std::max(paid_until_, begun_);
    if (bytes_per_second_ > 0) {
      std::chrono::duration<double> cost(static_cast<double>(bytes) /
                                         static_cast<double>(bytes_per_second_));
      paid_until_ += std::chrono::duration_cast<std::chrono::nanoseconds>(cost);
    }
    bool go_on = wait_(std::max(paid_until_ - now, std::chrono::nanoseconds(0)));
    begun_ = clock_.Steady();
    return go_on;
  }

 private:
  const Bytes bytes_per_second_;
  const Clock& clock_;
  const Wait wait_;
  std::chrono::steady_clock::time_point paid_until_;
  std::chrono::steady_clock::time_point begun_;  ///< when the piece that is read now was begun
};

}  // namespace weighhouse
