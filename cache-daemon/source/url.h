#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weighhouse::source {

/// An http or https URL, taken apart by the parser that will also connect to it (libcurl's: two
/// parsers that differ are how credentials reach the wrong host). `path` and `query` stay
/// percent-encoded, as they came.
struct Url {
  std::string scheme;  ///< "http" or "https"
  std::string host;    ///< lower case; IPv6 in brackets
  std::string port;    ///< the scheme's own if none was given
  std::string path;    ///< begins with '/'
  std::string query;   ///< without '?'; may be a secret (a signature)

  /// kInvalidArgument for other schemes, user names, hosts that aren't ASCII or longer than a name
  /// can be, and what isn't a URL; its message is free of secrets. A fragment is dropped. Bytes
  /// that a URL can't hold are percent-encoded.
  static Result<Url> Parse(std::string_view text);
  /// `location` (absolute or relative: RFC 3986 section 5.2) as seen from this URL.
  Result<Url> Join(std::string_view location) const;

  std::string ToString() const;
  /// `https://host[:port]`, the port only if it isn't the scheme's own.
  std::string Origin() const;
  /// Without the query, for messages, logs and names.
  std::string ToPublicString() const { return Origin() + path; }
  /// `host:port`, for messages.
  std::string HostAndPort() const { return host + ":" + port; }
  /// Equal scheme, host and port: credentials may go there.
  bool SameOrigin(const Url& other) const;
  /// localhost, *.localhost (RFC 6761 section 6.3), 127/8 or ::1.
  bool IsLoopback() const;
  /// The percent-decoded value of the first query parameter called `name` (exact case).
  std::optional<std::string> QueryValue(std::string_view name) const;
};

/// What was given as a URL, for messages: printable, without user, query and fragment.
std::string ShownUrl(std::string_view text);

/// Decodes %XX; nothing if an escape is broken.
std::optional<std::string> PercentDecode(std::string_view text);

/// The URL that an answer's `Location` sends a request for `from` to. kFailedPrecondition from
/// https to http (what was asked for in secret would be sent in the clear), kUnavailable for a
/// location that can't be read.
Result<Url> RedirectTarget(const Url& from, std::string_view location);

}  // namespace weighhouse::source
