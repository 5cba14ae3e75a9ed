#pragma once

#include <chrono>

#include "cache-daemon/source/url.h"

namespace weighhouse::source {

/// True if the query carries a signature or token: whoever has the URL has the right.
bool IsSigned(const Url& url);

/// What of the query is neither signature nor token, nor a date or name that goes with one: its
/// parameters sorted, so that equal ones choose the same file.
std::string UnsignedQuery(const Url& url);

/// After when a signed `url` that was just handed out must be located again: the earliest of
/// `Expires=<epoch>`, `X-Amz-Date` + `X-Amz-Expires` (or `X-Goog-…`) and 50 minutes from `now`,
/// less 5 minutes or a tenth of what is left, whichever is less. An expiry that has passed means
/// that the clocks differ: then the life it names, else 50 minutes, counts from `now`.
std::chrono::system_clock::time_point SignedUrlExpiry(const Url& url,
                                                      std::chrono::system_clock::time_point now);

/// The same moment for a URL that was handed out now, by the clock that doesn't jump.
std::chrono::steady_clock::time_point SignedUrlDeadline(const Url& url);

}  // namespace weighhouse::source
