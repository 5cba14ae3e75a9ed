#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/mutex.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/s3/sigv4.h"

namespace weighhouse::source {

/// The value of an environment variable; "" if it isn't set.
using Environment = std::function<std::string(const char* name)>;

/// The process' own environment.
std::string ProcessEnvironment(const char* name);

/// The keys that the node itself has, in the SDKs' order (docs.aws.amazon.com, "Standardized
/// credential providers"): the environment's AWS_ACCESS_KEY_ID; a web identity token exchanged at
/// STS (IRSA: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE); the container provider (EKS Pod
/// Identity, ECS: AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI); the instance's role by
/// IMDSv2, unless AWS_EC2_METADATA_DISABLED. Keys that end are renewed before they do. Thread-safe.
class AwsNodeKeys {
 public:
  /// `http` may reach the node's metadata services, which models' sources may not.
  AwsNodeKeys(std::shared_ptr<HttpClient> http, Environment environment, std::string region);

  /// Nothing if the node has none: requests go unsigned then. kUnavailable or kFailedPrecondition
  /// names what should have given them and didn't. Blocks for network time, others beside it.
  Result<std::optional<AwsKeys>> Get(std::stop_token stop) EXCLUDES(mutex_);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Expiring {
    AwsKeys keys;
    Time renew_at = Time::max();
  };
  Result<std::optional<Expiring>> Ask(std::stop_token stop);
  Result<Expiring> AskSts(std::stop_token stop);
  Result<Expiring> AskContainer(const std::string& url, std::stop_token stop);
  Result<std::optional<Expiring>> AskInstance(std::stop_token stop);
  Result<std::string> Fetch(const HttpRequest& request, std::string_view what,
                            std::stop_token stop);

  const std::shared_ptr<HttpClient> http_;  // shared with GCS' like
  const Environment environment_;
  const std::string region_;
  Mutex mutex_;
  std::optional<Expiring> known_ GUARDED_BY(mutex_);
  Time absent_until_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source
