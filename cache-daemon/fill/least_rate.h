#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/units.h"

namespace weighhouse::fill {

/// Whether a source still brings so much that it is waited for. Each kLeast, or the end of what is
/// fetched, must come within kWithin, or twice the time that a connection may be silent, if that is
/// longer. Only the time counts in which nothing but the source kept bytes from coming. A silence
/// is the stall timeout's and the attempts' matter: where one has been as long as a connection may
/// be silent, it is measured anew from the next byte on. Pure logic on the times it is given. Not
/// thread-safe.
class LeastRate {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr Bytes kLeast = kMiB;
  static constexpr std::chrono::seconds kWithin{60};
  /// Of what passed between two looks no more counts: this process may have been the one that
  /// slept.
  static constexpr std::chrono::seconds kLongestStep{10};
  /// So often one should look.
  static constexpr std::chrono::milliseconds kStep{100};

  /// `brought`: all bytes so far, never less than before. `wanted`: only the source kept more from
  /// coming since the last look. `silence`: so long a connection may bring nothing (> 0). Returns
  /// why it is too slow, if it is, and then begins anew.
  std::optional<Error> Look(Time now, Bytes brought, bool wanted,
                            std::chrono::milliseconds silence) {
    Duration step =
        wanted ? std::min<Duration>(now - looked_.value_or(now), kLongestStep) : Duration::zero();
    looked_ = now;
    silent_ = brought == brought_ ? silent_ + step : Duration::zero();
    if (brought != brought_ && !before_) {
      before_ = brought_;
      waited_ = Duration::zero();
    }
    brought_ = brought;
    waited_ += step;
    if (silent_ >= silence) before_.reset();
    std::chrono::milliseconds within = std::max<std::chrono::milliseconds>(kWithin, 2 * silence);
    if (!before_ || waited_ < within) return std::nullopt;
    Bytes came = brought - *std::exchange(before_, std::nullopt);
    if (came >= kLeast) return std::nullopt;
    return TooSlow(came, within);
  }
  /// Another source's bytes come from now on.
  void Restart() { before_.reset(); }

 private:
  using Duration = std::chrono::steady_clock::duration;
  static Error TooSlow(Bytes came, std::chrono::milliseconds within) {
    return {.code = Code::kUnavailable,
            .message = fmt::format(
                "the source brought {} in {}, and less than {} in that time isn't waited for: "
                "take a faster source or mirror, or set fill.stallTimeout to more than half of the "
                "time that it needs for them",
                FormatBytes(came), FormatDuration(within), FormatBytes(kLeast))};
  }

  std::optional<Time> looked_;
  std::optional<Bytes>
      before_;  ///< had come when the measurement began; nothing: none is under way
  Bytes brought_ = 0;
  Duration waited_{};  ///< in it
  Duration silent_{};  ///< since the last byte
};

}  // namespace weighhouse::fill
