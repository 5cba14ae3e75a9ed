#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/error.h"
#include "cache-daemon/source/http_client.h"

namespace weighhouse::agent {

struct ApiRequest {
  source::HttpMethod method = source::HttpMethod::kGet;
  std::string path;  ///< with the leading '/', percent-encoded
  std::string body;  ///< JSON; of kPatch an RFC 7386 merge patch
};

struct ApiAnswer {
  int status = 0;
  std::string body;
  std::optional<std::chrono::milliseconds> retry_after;
};

/// The Kubernetes API. One call at a time.
class ApiServer {
 public:
  virtual ~ApiServer() = default;
  /// The answer, whatever its status. An error: none came; nobody knows whether it was done.
  virtual Result<ApiAnswer> Send(const ApiRequest& request, std::stop_token stop) = 0;
};

struct ClusterOptions {
  std::string url;                            ///< `https://host[:port]`
  std::string directory;                      ///< of the service account: `token`, `ca.crt`
  std::chrono::milliseconds timeout{10'000};  ///< of one request
};

/// The API server of the cluster, as a pod's service account. The token is read anew for each
/// request, because kubelet renews it (projected volumes, every hour or so); the server must have a
/// certificate of `ca.crt`'s, whoever else the system trusts. Redirects are not followed, so the
/// token goes nowhere else. kInvalidArgument for a URL that isn't https.
Result<std::unique_ptr<ApiServer>> ConnectToCluster(ClusterOptions options);

/// What a metav1.Status says, for people; of another body its printable start. Never long.
std::string StatusMessage(const ApiAnswer& answer);

}  // namespace weighhouse::agent
