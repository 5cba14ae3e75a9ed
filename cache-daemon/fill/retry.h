#pragma once

#include <chrono>
#include <optional>

#include "base/error.h"

namespace weighhouse::fill {

struct RetryLimits {
  int max_attempts = 6;  ///< in a row without a byte of progress
  std::chrono::milliseconds backoff_start{500};
  std::chrono::milliseconds backoff_limit{8000};
};

/// How long to wait before the next attempt after `failures` failures in a row (≥ 1), or nothing
/// when it is time to give up: doubling from the start to the limit, scaled by `jitter` (0.5 to 1)
/// so that ranges don't come back in step. A server's Retry-After wins if longer, up to ten
/// minutes.
std::optional<std::chrono::milliseconds> NextDelay(const Error& error, int failures,
                                                   const RetryLimits& limits, double jitter);

}  // namespace weighhouse::fill
