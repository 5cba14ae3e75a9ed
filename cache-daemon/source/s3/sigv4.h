#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache-daemon/source/url.h"

namespace weighhouse::source {

/// Keys of AWS's kind, the server's own or another's. Secrets: never in messages.
struct AwsKeys {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  ///< empty: long-lived keys
  bool operator==(const AwsKeys&) const = default;
};

/// Whether `keys` may stand in requests' headers: of visible ASCII alone, and no longer than any
/// that a service gives.
bool AreSendable(const AwsKeys& keys);

/// Keys, and until when they hold.
struct ExpiringAwsKeys {
  AwsKeys keys;
  std::chrono::steady_clock::time_point end = std::chrono::steady_clock::time_point::max();
};

/// What a signature counts for.
struct SignatureScope {
  std::string region;
  std::string service = "s3";
  std::chrono::system_clock::time_point time;
};

/// A request as it will be sent. Its path is strictly percent-encoded once, as S3 wants it.
struct SignedRequest {
  std::string_view method;  ///< "GET", "HEAD" …
  const Url& url;
  /// Lower-case names and values that the signature covers beside `host`; others may vary.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string payload_sha256;  ///< hexadecimal, or UNSIGNED-PAYLOAD
};

/// sha256 of no bytes: the payload of GET and HEAD.
extern const std::string_view kEmptyPayload;

/// The `Authorization` value of AWS Signature Version 4 (docs.aws.amazon.com, "Create a signed AWS
/// API request") over exactly the request's headers, `host` and its query.
std::string SigV4Authorization(const SignedRequest& request, const AwsKeys& keys,
                               const SignatureScope& scope);

/// The headers that make S3 take `request`: `x-amz-date`, `x-amz-content-sha256`,
/// `x-amz-security-token` where there is one, and `Authorization` over these and the request's own
/// `x-amz-…` headers, which are in the answer too. S3 accepts them for 15 minutes from scope.time.
std::vector<std::string> SigV4Headers(SignedRequest request, const AwsKeys& keys,
                                      const SignatureScope& scope);

}  // namespace weighhouse::source
