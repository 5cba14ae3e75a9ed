#include "cache-daemon/source/redirects.h"

#include <utility>

#include <fmt/format.h>

#include "base/log_context.h"
#include "cache-daemon/source/curl_handle.h"

namespace weighhouse::source {
namespace {

constexpr int kMaxRedirects = 5;

/// `error` about a URL that a server sent to, which may hold what that server was asked with.
Error AboutRedirect(Error error, const RedirectedRequest& request) {
  error.message =
      WithoutSecrets(std::move(error.message), request.url.ToString(), request.credentials);
  return error;
}

/// Whoever keeps the source can find what we asked. Nobody else needs it.
void AddRequestId(std::vector<std::string>& headers) {
  LogContext context = LogContext::Current();
  if (!context.request().empty())
    headers.push_back(fmt::format("X-Request-Id: {}", context.request()));
}

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
      AddRequestId(single.headers);
    }
    Result<HttpResponse> sent = client.Send(single, stop);
    if (!sent && hop > 0) return std::unexpected(AboutRedirect(std::move(sent).error(), request));
    HttpResponse response = TRY(std::move(sent));
    if (!left_origin && request.inspect) TRY(request.inspect(response));
    if (!IsRedirect(response)) return RedirectedResponse{std::move(response), url, left_origin};
    Result<Url> target = RedirectTarget(url, response.headers.Find("location"));
    if (!target) return std::unexpected(AboutRedirect(std::move(target).error(), request));
    url = *std::move(target);
    left_origin = left_origin || !url.SameOrigin(request.url);
    if (left_origin && request.other_origin == RedirectedRequest::OtherOrigin::kStop) {
      return RedirectedResponse{std::move(response), url, left_origin};
    }
  }
  return Fail(Code::kUnavailable,
              fmt::format("{}: more than {} redirects", request.url.HostAndPort(), kMaxRedirects));
}

}  // namespace weighhouse::source
