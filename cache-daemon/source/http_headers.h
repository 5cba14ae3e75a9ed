#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"

namespace weighhouse::source {

/// The status and header fields of one answer, bounded. Names are lower case; equal names' values
/// are joined by ", " (RFC 9110 section 5.3). Not thread-safe.
class HttpHeaders {
 public:
  static constexpr size_t kMaxFields = 200;
  static constexpr size_t kMaxBytes = 64 * 1024;

  /// Takes one line as libcurl hands it out. A status line begins anew (after a 1xx), but for the
  /// count of bytes. False once the bounds are passed.
  bool AddLine(std::string_view line);
  /// 0 before the first status line.
  int status() const { return status_; }
  /// The value of `name` (lower case), trimmed; "" if absent.
  std::string_view Find(std::string_view name) const;
  bool Has(std::string_view name) const { return Field(name) != nullptr; }

 private:
  struct NamedValue {
    std::string name, value;
  };
  const NamedValue* Field(std::string_view name) const;

  int status_ = 0;
  size_t bytes_ = 0;
  std::vector<NamedValue> fields_;
};

/// Decimal digits only, no sign and no overflow.
std::optional<uint64_t> ParseNumber(std::string_view text);

/// An RFC 9110 section 5.6.7 date in its preferred form: `Sun, 06 Nov 1994 08:49:37 GMT`.
std::optional<std::chrono::system_clock::time_point> ParseHttpDate(std::string_view text);

/// What a server says of how much may still be asked: `RateLimit: "resolvers";r=2976;t=166` with
/// `RateLimit-Policy: "fixed window";"resolvers";q=3000;w=300` (an older draft of the IETF's).
struct RateLimit {
  uint64_t remaining = 0;
  std::chrono::seconds reset{0};  ///< until the window ends; at most an hour
  std::optional<uint64_t> quota;  ///< of a whole window
};
/// Of several limits the one with the least left; nothing if there is none that can be read.
std::optional<RateLimit> ParseRateLimit(const HttpHeaders& headers);

/// How long the server asks us to wait: `RateLimit: "resolvers";r=0;t=166` (t and a second more,
/// where r is 0), else `Retry-After` in seconds or as a date. At most an hour, whatever it says.
std::optional<std::chrono::milliseconds> RetryDelay(const HttpHeaders& headers,
                                                    std::chrono::system_clock::time_point now);

/// A `Content-Range: bytes first-last/total`; the total is absent for `*`.
struct ContentRange {
  ByteRange range;
  std::optional<Bytes> total;
};
std::optional<ContentRange> ParseContentRange(std::string_view text);

/// The size of all of what an answer brings, or would: of a 206 the total, else Content-Length.
std::optional<Bytes> WholeSize(const HttpHeaders& headers);

/// The target of `Link: <url>; rel="next"` (RFC 8288), as written.
std::optional<std::string> NextLink(std::string_view link);

/// An ETag without quotes, `W/` dropped (RFC 9110 section 8.8.3).
std::string_view UnquoteEtag(std::string_view etag);

}  // namespace weighhouse::source
