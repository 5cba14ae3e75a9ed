#include "cache-daemon/source/bucket_sources.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/source/gcs/gcs_source.h"
#include "cache-daemon/source/s3/s3_source.h"

namespace weighhouse::source {
namespace {

/// For a node's metadata services, which are on the node or nowhere, and what they name.
std::shared_ptr<HttpClient> MetadataClient(const std::string& ca_file,
                                           std::shared_ptr<const ConnectionPolicy> policy) {
  return std::make_shared<HttpClient>(
      HttpClientOptions{.connect_timeout = std::chrono::milliseconds(1000),
                        .total_timeout = std::chrono::milliseconds(10000),
                        .ca_file = ca_file,
                        .policy = std::move(policy),
                        .url_from = UrlFrom::kProgram});
}

std::string FirstOf(std::string text, const Environment& environment,
                    std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (text.empty()) text = environment(name);
  }
  return text;
}

/// The endpoint in `text`; nothing if it is empty.
Result<std::optional<Url>> BucketEndpoint(std::string text, std::string_view of) {
  while (text.ends_with('/')) text.pop_back();
  if (text.empty()) return std::nullopt;
  Result<Url> url = Url::Parse(text);
  if (!url || !url->query.empty()) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{} endpoint '{}' is not usable: give https://host[:port][/path]", of,
                            ShownUrl(text)));
  }
  if (url->scheme == "http" && !url->IsLoopback()) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("the {} endpoint {} is plain http: models travel unprotected", of,
                            url->Origin()));
  }
  return std::optional(*std::move(url));
}

}  // namespace

Result<std::unique_ptr<BucketSources>> BucketSources::Create(const BucketOptions& options,
                                                             std::shared_ptr<HttpClient> http,
                                                             const std::string& ca_file,
                                                             const Environment& environment,
                                                             SecretDigest secret_digest) {
  std::shared_ptr<HttpClient> metadata_http = MetadataClient(ca_file, http->policy());
  std::unique_ptr<BucketSources> sources(new BucketSources());
  S3Settings& s3 = sources->s3_settings_;
  s3.endpoint = TRY(BucketEndpoint(
      FirstOf(options.s3_endpoint, environment, {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}),
      "S3"));
  s3.region = FirstOf(options.s3_region, environment, {"AWS_REGION", "AWS_DEFAULT_REGION"});
  if (s3.region.empty()) s3.region = "us-east-1";
  if (!IsS3Region(s3.region)) {
    return Fail(Code::kInvalidArgument,
                "the S3 region (sources.s3.region, or the environment's AWS_REGION) is none: give "
                "one such as eu-central-1");
  }
  s3.addressing = options.s3_addressing;
  s3.secret_digest = std::move(secret_digest);
  sources->s3_client_ = std::make_shared<S3Client>(http);
  if (options.s3_node_credentials) {
    sources->s3_node_keys_ = std::make_shared<AwsNodeKeys>(metadata_http, environment, s3.region);
  }
  std::string emulator = environment("STORAGE_EMULATOR_HOST");
  if (!emulator.empty() && !emulator.contains("://")) emulator = "http://" + emulator;
  std::string gcs = options.gcs_endpoint.empty() ? emulator : options.gcs_endpoint;
  if (gcs.empty()) gcs = "https://storage.googleapis.com";
  std::optional<Url> endpoint = TRY(BucketEndpoint(gcs, "GCS"));
  if (!endpoint) return Fail(Code::kInvalidArgument, "the GCS endpoint is empty");
  sources->gcs_endpoint_ = *std::move(endpoint);
  sources->gcs_options_.node_credentials = options.gcs_node_credentials;
  sources->gcs_tokens_ = std::make_shared<GcsTokens>(http, metadata_http, environment);
  sources->http_ = std::move(http);
  return sources;
}

std::vector<Url> BucketSources::Endpoints() const {
  std::vector<Url> endpoints = {gcs_endpoint_};
  if (s3_settings_.endpoint) endpoints.push_back(*s3_settings_.endpoint);
  return endpoints;
}

std::optional<Url> BucketSources::BucketHosts() const {
  if (s3_settings_.addressing != S3Addressing::kVirtual) return std::nullopt;
  return s3_settings_.endpoint;
}

std::shared_ptr<Source> BucketSources::S3(bool allow_plain_http) const {
  S3Settings settings = s3_settings_;
  settings.allow_plain_http = allow_plain_http;
  return std::make_shared<S3Source>(std::move(settings), s3_client_, http_, s3_node_keys_);
}

std::shared_ptr<Source> BucketSources::Gcs(bool allow_plain_http) const {
  GcsTokenOptions options = gcs_options_;
  options.allow_plain_http = allow_plain_http;
  return std::make_shared<GcsSource>(gcs_endpoint_, options, http_, gcs_tokens_);
}

}  // namespace weighhouse::source
