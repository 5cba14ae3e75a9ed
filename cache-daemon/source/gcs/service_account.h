#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weighhouse::source {

/// A Google service account's key, as its JSON file holds it. A secret: never in messages.
struct ServiceAccount {
  std::string email;
  std::string private_key;  ///< PEM, PKCS #8
  std::string key_id;       ///< may be empty
  std::string token_uri;

  /// kUnauthenticated says what the file isn't (a user's credentials, a federation's).
  static Result<ServiceAccount> Parse(std::string_view json);

  /// The assertion that the token endpoint exchanges for an access token to read objects (RFC 7523,
  /// signed by RS256: RFC 7518 section 3.3), good for an hour from `now`. kUnauthenticated if the
  /// key can't sign.
  Result<std::string> Assertion(std::chrono::system_clock::time_point now) const;
};

}  // namespace weighhouse::source
