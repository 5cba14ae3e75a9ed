#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/mutex.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/node_environment.h"
#include "cache-daemon/source/s3/aws_key_answers.h"
#include "cache-daemon/source/s3/sigv4.h"

namespace weighhouse::source {

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
  /// names what should have given them and didn't. Once there were some, a failure to renew them
  /// leaves them as they are until they end, and is kUnavailable from then on: whoever read by them
  /// isn't nobody because a service has trouble. Blocks for network time, others beside it.
  Result<std::optional<ExpiringAwsKeys>> Get(std::stop_token stop) EXCLUDES(mutex_);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Given {
    ExpiringAwsKeys keys;
    Time renew_at = Time::max();
  };
  /// Renewed five minutes before they end, or half-way for such as live shorter.
  static Given GivenBy(AwsKeyAnswer answer);
  Result<std::optional<Given>> Ask(std::stop_token stop);
  Result<Given> AskSts(std::stop_token stop);
  Result<Given> AskContainer(const std::string& url, std::stop_token stop);
  Result<std::optional<Given>> AskInstance(std::stop_token stop);
  Result<std::string> Fetch(const HttpRequest& request, std::string_view what,
                            std::stop_token stop);
  /// What Get says where asking ended with `failure` or, without one, found none.
  Result<std::optional<ExpiringAwsKeys>> WithoutNew(std::optional<Error> failure) REQUIRES(mutex_);

  const std::shared_ptr<HttpClient> http_;  // shared with GCS' like
  const Environment environment_;
  const std::string region_;
  Mutex mutex_;
  std::optional<Given> known_ GUARDED_BY(mutex_);  ///< the last, though they may have ended
  Time absent_until_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source
