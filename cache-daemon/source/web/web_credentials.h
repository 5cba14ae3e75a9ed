#pragma once

#include <string>
#include <vector>

#include "base/model.h"

namespace weighhouse::source {

/// The Authorization header that `credentials` ask for; none if they hold nothing for web servers.
/// Bearer (RFC 6750): HTTP_TOKEN or `token`. Basic (RFC 7617): HTTP_USERNAME and HTTP_PASSWORD, or
/// `username` and `password` (the keys of a Kubernetes secret of type kubernetes.io/basic-auth).
/// kUnauthenticated for both at once, half of a pair, and what can't be in a header.
Result<std::vector<std::string>> WebAuthorization(const Credentials& credentials);

}  // namespace weighhouse::source
