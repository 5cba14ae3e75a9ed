#include "cache-daemon/fill/retry.h"

#include <algorithm>

namespace weighhouse::fill {

std::optional<std::chrono::milliseconds> NextDelay(const Error& error, int failures,
                                                   const RetryLimits& limits, double jitter) {
  using std::chrono::milliseconds;
  constexpr milliseconds kLongestRetryAfter = std::chrono::minutes(10);
  if (!IsTemporary(error.code) || failures >= limits.max_attempts) return std::nullopt;
  auto backoff = limits.backoff_start * (int64_t{1} << std::min(failures - 1, 20));
  backoff = std::min<milliseconds>(backoff, limits.backoff_limit);
  backoff = milliseconds(static_cast<int64_t>(static_cast<double>(backoff.count()) * jitter));
  if (!error.retry_after) return backoff;
  return std::max(backoff, std::min(*error.retry_after, kLongestRetryAfter));
}

}  // namespace weighhouse::fill
