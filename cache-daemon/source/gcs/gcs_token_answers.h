#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/units.h"
#include "cache-daemon/source/http_client.h"

namespace weighhouse::source {

/// The longest answer with an access token; one has some 1 KiB.
constexpr Bytes kGcsTokenAnswerLimit = 64 * kKiB;

/// An access token of Google's, and until when it may be used.
struct GcsToken {
  std::string value;  ///< a secret
  std::chrono::steady_clock::time_point good_until = std::chrono::steady_clock::time_point::max();
  /// When the next is asked for: `good_until` leaves time to do without it for a while.
  std::chrono::steady_clock::time_point renew_at = std::chrono::steady_clock::time_point::max();
  bool of_node = false;  ///< not the caller's own: what it may read is for all tenants
};

/// The token in the JSON that the metadata server, or the endpoint that an assertion was sent to,
/// answers by (RFC 6749 section 5.1). It becomes a header: visible ASCII. It is good for what is
/// left of `expires_in`, at most 12 hours, and ten minutes where the answer doesn't say it. `from`
/// names the server in messages, which repeat nothing of the answer: kUnavailable where another
/// time may do, kUnauthenticated for a refusal.
Result<GcsToken> ParseGcsToken(const HttpResponse& response, std::string_view from,
                               std::chrono::steady_clock::time_point now);

}  // namespace weighhouse::source
