#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {

/// A Google service account's key, as its JSON file holds it. A secret: never in messages.
struct ServiceAccount {
  std::string email;
  std::string private_key;  ///< PEM, PKCS #8 or PKCS #1
  std::string key_id;       ///< may be empty
  std::string token_uri;

  /// kUnauthenticated says what the file isn't (a user's credentials, a federation's), or that it
  /// is longer than any is.
  static Result<ServiceAccount> Parse(std::string_view json);

  /// The assertion that the token endpoint exchanges for an access token to read objects (RFC 7523,
  /// signed by RS256: RFC 7518 section 3.3), good for an hour from `now`. kUnauthenticated if the
  /// key can't sign, or is one that would do so for minutes.
  Result<std::string> Assertion(std::chrono::system_clock::time_point now) const;

  /// Where the assertion may be sent to. kInvalidArgument, without what is secret in it, for a
  /// token_uri that is no URL or plain http, the loopback apart, unless that is allowed.
  Result<Url> TokenEndpoint(bool allow_plain_http) const;
};

}  // namespace weighhouse::source
