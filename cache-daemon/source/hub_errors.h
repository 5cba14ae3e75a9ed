#pragma once

#include <chrono>
#include <string>

#include "base/error.h"
#include "cache-daemon/source/http_client.h"

namespace weighhouse::source {

/// What the Hub was asked, for the message when it says no.
struct HubQuestion {
  std::string web_page;    ///< where people find the repository: `https://huggingface.co/org/name`
  std::string repository;  ///< org/name
  std::string revision;
  std::string path;  ///< of a file; empty for the repository itself
  bool with_token = false;
};

/// The failure that `response`, no success, means (facts/model-sources.md 1.5), with the way out in
/// its message. `said` is the server's own text, free of secrets. kNotFound, kUnauthenticated,
/// kPermissionDenied, kUnavailable (with retry_after), else kFailedPrecondition. Where another
/// account may be told otherwise, with rights_may_help: so is what this one may not see.
Error HubFailure(const HttpResponse& response, const HubQuestion& question, const std::string& said,
                 std::chrono::system_clock::time_point now);

}  // namespace weighhouse::source
