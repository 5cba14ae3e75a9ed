#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>

#include "base/error.h"

namespace weighhouse::source {

/// Calls `visit` with each index below `count`, on at most `threads` threads (and at most `count`),
/// and returns when all have ended: the first error, after which none begins. A stop before the
/// last one began is kCancelled.
Result<> ForEachInParallel(size_t count, size_t threads, std::stop_token stop,
                           const std::function<Result<>(size_t)>& visit);

}  // namespace weighhouse::source
