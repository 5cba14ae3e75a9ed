#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/source/oci/authorizer.h"
#include "cache-daemon/source/redirects.h"

namespace weighhouse::source::oci {

/// Speaks with registries (distribution-spec): https, or plain http where that is allowed and the
/// registry has no https; challenges are answered. Thread-safe.
class RegistryClient {
 public:
  RegistryClient(PlainHttp plain_http, std::shared_ptr<HttpClient> client);

  /// Who asks, and how `image`'s registry is reached. Blocks on the network only where plain http
  /// is allowed and the registry wasn't asked in the last ten minutes.
  Result<RegistryAsker> MakeAsker(const ImageName& image, const Credentials& credentials,
                                  std::stop_token stop) EXCLUDES(mutex_);

  struct Request {
    std::string path;  ///< below the repository: `/manifests/latest`
    std::string what;  ///< for messages: `manifest latest`
    std::vector<std::string> headers;
    Bytes body_limit = kMiB;
    RedirectedRequest::OtherOrigin other_origin = RedirectedRequest::OtherOrigin::kFollow;
  };
  struct Answer {
    RedirectedResponse reply;
    Authorization authorization;  ///< with which it came
  };
  /// Where that registry was reached last, however long ago (what lies there is called by it), or
  /// can be at one place only.
  std::optional<Url> LastReached(const std::string& registry) const EXCLUDES(mutex_);
  /// The answer to a GET: 200 or 206, or (with kStop) a redirect to another origin. Else
  /// RegistryFailure's, Authorizer::Answer's and SendRedirected's errors.
  Result<Answer> Get(const RegistryAsker& asker, const Request& request, std::stop_token stop);

 private:
  /// Whether a registry's base is at `url`, whoever asks.
  bool IsRegistry(const Url& url, std::stop_token stop);
  Result<Url> Reach(const std::string& registry, std::stop_token stop) EXCLUDES(mutex_);
  Result<Answer> GetAuthorised(const RegistryAsker& asker, const RedirectedRequest& request,
                               std::stop_token stop);

  /// How a registry was found to be reached.
  struct Reached {
    Url url;
    std::chrono::steady_clock::time_point until;
  };
  const PlainHttp plain_http_;
  const std::shared_ptr<HttpClient> client_;  // shared with the other sources: connections are
  Authorizer authorizer_;
  mutable Mutex mutex_;
  std::map<std::string, Reached> reached_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source::oci
