#pragma once

#include <chrono>
#include <functional>
#include <stop_token>

#include "cache-daemon/source/source.h"

namespace weighhouse::source {

/// Longer than any decent source takes: the largest listings have a hundred pages.
constexpr std::chrono::minutes kLongestResolve{5};

/// Calls `ask` with a token that is stopped with `stop`, and after `limit`: each of its requests is
/// bounded, but a hostile source decides how many there are. kUnavailable once the time is over, or
/// if the system gives no thread to watch it.
Result<> InTime(const std::stop_token& stop, std::chrono::milliseconds limit,
                const std::function<Result<>(std::stop_token)>& ask);

/// `source.Resolve`, InTime.
Result<Listing> ResolveInTime(Source& source, const ModelReference& reference,
                              const Credentials& credentials, const std::stop_token& stop,
                              std::chrono::milliseconds limit = kLongestResolve);
/// `source.MayRead`, likewise.
Result<bool> MayReadInTime(Source& source, const ModelReference& reference,
                           const Credentials& credentials, const std::stop_token& stop,
                           std::chrono::milliseconds limit = kLongestResolve);

}  // namespace weighhouse::source
