#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/oci/challenge.h"
#include "cache-daemon/source/oci/image_name.h"
#include "cache-daemon/source/oci/login.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source::oci {

/// Whether requests may travel unprotected to other hosts than the loopback.
enum class PlainHttp { kLoopbackOnly, kAllowed };
bool MayBePlain(const Url& url, PlainHttp plain_http);

/// What shows a registry that a request is allowed, for as long as it does.
struct Authorization {
  std::vector<std::string> headers;  ///< secrets; empty: none is needed
  std::chrono::steady_clock::time_point expires_at = std::chrono::steady_clock::time_point::max();
};

/// Who asks for what.
struct RegistryAsker {
  ImageName image;
  Login login;
  Url registry;  ///< its scheme, host and port
};

/// Answers registries' challenges (distribution's docs/spec/auth): fetches tokens with the asker's
/// login, or without one, and keeps each until shortly before its end. Bearer is preferred to
/// Basic. Thread-safe.
class Authorizer {
 public:
  Authorizer(PlainHttp plain_http, std::shared_ptr<HttpClient> client);

  /// What the asker was given before and still holds; else nothing to show.
  Authorization Known(const RegistryAsker& asker) EXCLUDES(mutex_);

  /// What answers `challenges`, the WWW-Authenticate of a 401. kUnauthenticated if nothing does:
  /// without a login, with one that is refused, or where a challenge can't be answered (such as a
  /// realm on plain http, where that isn't allowed); kUnavailable where the realm is away.
  Result<Authorization> Answer(const RegistryAsker& asker, std::string_view challenges,
                               std::stop_token stop) EXCLUDES(mutex_);

 private:
  Result<Authorization> FetchToken(const RegistryAsker& asker, const Challenge& challenge,
                                   std::stop_token stop);
  Result<HttpResponse> AskRealm(const Url& realm, const RegistryAsker& asker,
                                const Challenge& challenge, std::stop_token stop);
  void Keep(const RegistryAsker& asker, const Authorization& authorization) EXCLUDES(mutex_);

  const PlainHttp plain_http_;
  const std::shared_ptr<HttpClient> client_;  // shared with the other sources: connections are
  Mutex mutex_;
  std::map<std::string, Authorization> known_ GUARDED_BY(mutex_);
};

/// A token server's answer: `token` or `access_token`, and `expires_in`, 60 seconds if it says
/// none, which count from when it was `asked`. kUnavailable for what is none; kUnauthenticated for
/// a token that can't be sent.
Result<Authorization> ParseToken(std::string_view json,
                                 std::chrono::steady_clock::time_point asked);

}  // namespace weighhouse::source::oci
