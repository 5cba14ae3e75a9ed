#include "cache-daemon/source/redirects.h"

#include <utility>

#include <fmt/format.h>

namespace weighhouse::source {
namespace {

constexpr int kMaxRedirects = 5;

}  // namespace

bool IsRedirect(const HttpResponse& response) {
  int status = response.status();
  bool followed = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
  return followed && response.headers.Has("location");
}

Result<RedirectedResponse> SendRedirected(HttpClient& client, const RedirectedRequest& request,
                                          std::stop_token stop) {
  Url url = request.url;
  bool left_origin = false;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    HttpRequest single{.method = request.method,
                       .url = url.ToString(),
                       .headers = request.headers,
                       .body_limit = request.body_limit};
    if (!left_origin) {
      single.headers.insert(single.headers.end(), request.credentials.begin(),
                            request.credentials.end());
    }
    HttpResponse response = TRY(client.Send(single, stop));
    if (!left_origin && request.inspect) TRY(request.inspect(response));
    if (!IsRedirect(response)) return RedirectedResponse{std::move(response), url, left_origin};
    url = TRY(RedirectTarget(url, response.headers.Find("location")));
    left_origin = left_origin || !url.SameOrigin(request.url);
    if (left_origin && request.other_origin == RedirectedRequest::OtherOrigin::kStop) {
      return RedirectedResponse{std::move(response), url, left_origin};
    }
  }
  return Fail(Code::kUnavailable,
              fmt::format("{}: more than {} redirects", request.url.HostAndPort(), kMaxRedirects));
}

}  // namespace weighhouse::source
