#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/model.h"
#include "base/mutex.h"
#include "cache-daemon/source/gcs/gcs_token_answers.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/node_environment.h"

namespace weighhouse::source {

struct GcsTokenOptions {
  bool node_credentials = false;  ///< the node's own are for all tenants
  bool allow_plain_http = false;  ///< to token endpoints that a secret names, beside the loopback
  std::string endpoint = {};      ///< GCS' own origin: an emulator gives tokens, too
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
  /// that can't be used, kUnavailable where the token endpoint is away, but kFailedPrecondition
  /// where that is neither Google's nor GCS' own: its trouble says nothing of GCS, and who named it
  /// could make it when they like. One that can't be renewed
  /// is used until it ends; once the node had one, it isn't without because its server has trouble.
  Result<std::optional<GcsToken>> Get(const Credentials& credentials,
                                      const GcsTokenOptions& options, std::stop_token stop)
      EXCLUDES(mutex_);

 private:
  using Time = std::chrono::steady_clock::time_point;
  Result<std::optional<GcsToken>> OfNode(const GcsTokenOptions& options, std::stop_token stop)
      EXCLUDES(mutex_);
  Result<GcsToken> OfAccount(HttpClient& http, const std::string& json,
                             const GcsTokenOptions& options, std::stop_token stop) EXCLUDES(mutex_);
  Result<GcsToken> Exchange(HttpClient& http, const std::string& json,
                            const GcsTokenOptions& options, std::stop_token stop);
  Result<std::optional<GcsToken>> OfMetadataServer(std::stop_token stop) EXCLUDES(mutex_);
  Result<std::optional<GcsToken>> AskMetadataServer(std::stop_token stop);
  /// One that is still good.
  std::optional<GcsToken> Known(const std::string& key) EXCLUDES(mutex_);
  /// The known one again, after the next couldn't be had: `why`.
  GcsToken GoOnWith(const std::string& key, GcsToken token, const Error& why) EXCLUDES(mutex_);
  void Keep(const std::string& key, const GcsToken& token) EXCLUDES(mutex_);

  const std::shared_ptr<HttpClient> http_;           // shared with the other sources
  const std::shared_ptr<HttpClient> metadata_http_;  // shared with AWS' like
  const Environment environment_;
  Mutex mutex_;
  std::map<std::string, GcsToken> known_ GUARDED_BY(mutex_);  ///< by a digest of what gives it
  bool node_had_one_ GUARDED_BY(mutex_) = false;              ///< of the metadata server
  Time absent_until_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source
