#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/units.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/s3/sigv4.h"

namespace weighhouse::source {

/// The longest answer with a node's own keys; one has some 2 KiB.
constexpr Bytes kAwsKeyAnswerLimit = 64 * kKiB;

/// A node's own keys, as a service gives them: AreSendable, the first two not empty.
struct AwsKeyAnswer {
  AwsKeys keys;
  /// How long they hold from now: 0 to 12 hours, the longest that AWS gives. Nothing where the
  /// answer doesn't say it, or so that nobody can read it.
  std::optional<std::chrono::seconds> life;
};

/// The failure of `from`, the name of what should have given the node its keys, to do so.
std::unexpected<Error> NoAwsKeys(Code code, std::string_view from, std::string_view why);

/// The XML that STS answers AssumeRoleWithWebIdentity by (docs.aws.amazon.com,
/// API_AssumeRoleWithWebIdentity). kUnavailable if it isn't one, is cut off, or holds no keys that
/// may be sent.
Result<AwsKeyAnswer> ParseStsKeys(std::string_view xml, std::string_view from,
                                  std::chrono::system_clock::time_point now);

/// The JSON that the container provider and an instance's metadata service answer by
/// (docs.aws.amazon.com, "Container credential provider"). kUnavailable like ParseStsKeys.
Result<AwsKeyAnswer> ParseJsonKeys(std::string_view json, std::string_view from,
                                   std::chrono::system_clock::time_point now);

/// The session that an instance's metadata service opens (IMDSv2): becomes a header. kUnavailable
/// for what can't be one.
Result<std::string> ParseInstanceSession(std::string_view text, std::string_view from);

/// The first role that an instance's metadata service lists: becomes a part of a path, yet to be
/// percent-encoded. kUnavailable for what can't be one.
Result<std::string> ParseInstanceRole(std::string_view text, std::string_view from);

/// What an answer to `request` other than 200 means: kUnavailable where another time may do,
/// else kFailedPrecondition. Printable, at most a line, without what is secret in `request`.
std::unexpected<Error> AwsKeysRefused(const HttpResponse& response, const HttpRequest& request,
                                      std::string_view from);

}  // namespace weighhouse::source
