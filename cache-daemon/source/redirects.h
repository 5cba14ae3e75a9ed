#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {

/// A request whose redirects are followed by hand: to read every answer's headers, and so that
/// credentials stay where they belong.
struct RedirectedRequest {
  HttpMethod method = HttpMethod::kGet;
  Url url;
  std::vector<std::string> headers;      ///< sent on every hop
  std::vector<std::string> credentials;  ///< sent until a hop leads to another scheme, host or
                                         ///< port; never again after it
  Bytes body_limit = kMiB;
  /// Whether a redirect to another origin is followed, or is the outcome.
  enum class OtherOrigin { kFollow, kStop } other_origin = OtherOrigin::kFollow;
  /// Sees each answer of the first origin; its error ends the request.
  std::function<Result<>(const HttpResponse&)> inspect;
};

struct RedirectedResponse {
  HttpResponse response;
  /// Where the answer came from; with kStop and a redirect to another origin, where that leads.
  Url url;
  bool left_origin = false;
};

/// An answer that sends its reader elsewhere (301, 302, 303, 307, 308) and says where.
bool IsRedirect(const HttpResponse& response);

/// Follows at most five redirects. Errors: HttpClient::Send's,
/// RedirectTarget's, kUnavailable after five.
Result<RedirectedResponse> SendRedirected(HttpClient& client, const RedirectedRequest& request,
                                          std::stop_token stop);

}  // namespace weighhouse::source
