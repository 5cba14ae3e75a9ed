#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "cache-daemon/source/s3/aws_node_keys.h"
#include "cache-daemon/source/s3/s3_client.h"
#include "cache-daemon/source/secret_digest.h"

namespace weighhouse::source {

/// What an admin says of buckets.
struct S3Settings {
  std::optional<Url> endpoint;  ///< nothing: AWS
  std::string region = "us-east-1";
  S3Addressing addressing = S3Addressing::kAuto;
  bool allow_plain_http = false;  ///< to endpoints that a secret names, beside the loopback
  SecretDigest secret_digest;     ///< tells accounts apart at those
};

/// The way of a caller with `credentials` to `bucket`, but for the keys: see S3AccessFor.
Result<S3Access> S3PlaceFor(const S3Settings& settings, const std::string& bucket,
                            const Credentials& credentials);

/// The way of a caller with `credentials` to `bucket`: with the keys in them, else with the node's
/// own (null: it has none to give), else unsigned. An endpoint that the credentials name is the
/// tenant's own choice: the node's keys are never used there, and what a bucket's name means there
/// is taken to be the account's own affair. kInvalidArgument for an endpoint or
/// region that can't be used, kUnauthenticated for half a pair of keys, and what AwsNodeKeys says.
Result<S3Access> S3AccessFor(const S3Settings& settings, const std::string& bucket,
                             const Credentials& credentials, AwsNodeKeys* node_keys,
                             std::stop_token stop);

}  // namespace weighhouse::source
