#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/model.h"
#include "base/mutex.h"
#include "cache-daemon/source/gcs/service_account.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/s3/aws_node_keys.h"

namespace weighhouse::source {

/// An access token of Google's, and until when it may be used.
struct GcsToken {
  std::string value;  ///< a secret
  std::chrono::steady_clock::time_point good_until = std::chrono::steady_clock::time_point::max();
  bool of_node = false;  ///< not the caller's own: what it may read is for all tenants
};

struct GcsTokenOptions {
  bool node_credentials = false;  ///< the node's own are for all tenants
  bool allow_plain_http = false;  ///< to token endpoints that a secret names, beside the loopback
};

/// Access tokens for callers: of the service account in their credentials
/// (`gcloud-application-credentials.json` or GOOGLE_APPLICATION_CREDENTIALS: the JSON itself),
/// else, where an admin allows it, the node's own: the service account in the file that the
/// environment's GOOGLE_APPLICATION_CREDENTIALS names, else the metadata server's. They are kept
/// until they end; what they were got with is not. Thread-safe.
class GcsTokens {
 public:
  /// `http` reaches what a secret may name, `metadata_http` the node's metadata server too.
  GcsTokens(std::shared_ptr<HttpClient> http, std::shared_ptr<HttpClient> metadata_http,
            Environment environment);

  /// Nothing: the caller has no credentials, and requests go without. kUnauthenticated for ones
  /// that can't be used, kUnavailable where the token endpoint is away.
  Result<std::optional<GcsToken>> Get(const Credentials& credentials,
                                      const GcsTokenOptions& options, std::stop_token stop)
      EXCLUDES(mutex_);

 private:
  using Time = std::chrono::steady_clock::time_point;
  Result<std::optional<GcsToken>> OfNode(const GcsTokenOptions& options, std::stop_token stop)
      EXCLUDES(mutex_);
  Result<GcsToken> OfAccount(HttpClient& http, const std::string& json,
                             const GcsTokenOptions& options, std::stop_token stop) EXCLUDES(mutex_);
  Result<std::optional<GcsToken>> OfMetadataServer(std::stop_token stop);
  std::optional<GcsToken> Known(const std::string& key) EXCLUDES(mutex_);
  void Keep(const std::string& key, const GcsToken& token) EXCLUDES(mutex_);

  const std::shared_ptr<HttpClient> http_;           // shared with the other sources
  const std::shared_ptr<HttpClient> metadata_http_;  // shared with AWS' like
  const Environment environment_;
  Mutex mutex_;
  std::map<std::string, GcsToken> known_ GUARDED_BY(mutex_);  ///< by a digest of what gives it
  Time absent_until_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source
