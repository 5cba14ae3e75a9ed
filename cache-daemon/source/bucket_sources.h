#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cache-daemon/source/gcs/gcs_tokens.h"
#include "cache-daemon/source/s3/s3_access.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::source {

/// What an admin says of S3 and GCS.
struct BucketOptions {
  std::string s3_endpoint;  ///< empty: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else AWS
  std::string s3_region;    ///< empty: AWS_REGION, AWS_DEFAULT_REGION, else us-east-1
  S3Addressing s3_addressing = S3Addressing::kAuto;
  bool s3_node_credentials = false;  ///< the node's own keys are for all tenants
  std::string gcs_endpoint;          ///< empty: STORAGE_EMULATOR_HOST, else Google
  bool gcs_node_credentials = false;
  bool operator==(const BucketOptions&) const = default;
};

/// The sources of models in buckets, and what their settings share. Thread-safe.
class BucketSources {
 public:
  /// `http` asks the services. The node's own metadata services get a client of their own: sources
  /// have no business there. kInvalidArgument for an endpoint or region that can't be used.
  static Result<std::unique_ptr<BucketSources>> Create(const BucketOptions& options,
                                                       std::shared_ptr<HttpClient> http,
                                                       const std::string& ca_file,
                                                       const Environment& environment,
                                                       SecretDigest secret_digest);

  /// What the configuration names itself, or the environment.
  std::vector<Url> Endpoints() const;
  /// Of these, below which each bucket has a host.
  std::optional<Url> BucketHosts() const;
  std::shared_ptr<Source> S3(bool allow_plain_http) const;
  std::shared_ptr<Source> Gcs(bool allow_plain_http) const;

 private:
  BucketSources() = default;

  S3Settings s3_settings_;
  Url gcs_endpoint_;
  GcsTokenOptions gcs_options_;
  std::shared_ptr<HttpClient> http_;           // shared with the other sources
  std::shared_ptr<GcsTokens> gcs_tokens_;      // shared with sources that fills keep
  std::shared_ptr<S3Client> s3_client_;        // shared with sources that fills keep
  std::shared_ptr<AwsNodeKeys> s3_node_keys_;  // as s3_client_; null: not for tenants
};

}  // namespace weighhouse::source
