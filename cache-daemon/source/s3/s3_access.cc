#include "cache-daemon/source/s3/s3_access.h"

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

std::string KeyIdIn(const Credentials& credentials) {
  return credentials.First({"AWS_ACCESS_KEY_ID", "awsAccessKeyID"});
}

Result<std::optional<AwsKeys>> KeysIn(const Credentials& credentials) {
  AwsKeys keys{
      .access_key_id = KeyIdIn(credentials),
      .secret_access_key = credentials.First({"AWS_SECRET_ACCESS_KEY", "awsSecretAccessKey"}),
      .session_token = credentials.First({"AWS_SESSION_TOKEN", "awsSessionToken"})};
  if (keys == AwsKeys{}) return std::nullopt;
  auto refuse = [](std::string message) {
    return std::unexpected(Error{
        .code = Code::kUnauthenticated, .message = std::move(message), .rights_may_help = true});
  };
  if (keys.access_key_id.empty() || keys.secret_access_key.empty()) {
    return refuse(
        "the secret has only a part of a key: give AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY");
  }
  if (!AreSendable(keys)) {
    return refuse(
        "the keys in AWS_… have characters that no key has, or are too long for one: check the "
        "secret for line breaks and quotes");
  }
  return std::optional(std::move(keys));
}

bool IsConfigured(const Url& endpoint, const S3Settings& settings) {
  return settings.endpoint && settings.endpoint->ToPublicString() == endpoint.ToPublicString();
}

/// The endpoint that a tenant's secret names, or nothing.
Result<std::optional<Url>> EndpointIn(const Credentials& credentials, const S3Settings& settings) {
  std::string text = credentials.First({"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
  while (text.ends_with('/')) text.pop_back();
  if (text.empty()) return std::nullopt;
  Result<Url> url = Url::Parse(text);
  if (!url || !url->query.empty()) {
    return Fail(Code::kInvalidArgument,
                fmt::format("AWS_ENDPOINT_URL '{}' is not usable: give https://host[:port][/path]",
                            ShownUrl(text)));
  }
  bool may_be_plain =
      settings.allow_plain_http || url->IsLoopback() || IsConfigured(*url, settings);
  if (url->scheme == "https" || may_be_plain) {
    return std::optional(*std::move(url));
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("AWS_ENDPOINT_URL '{}' is plain http, which anybody on the way can "
                          "change: use https (an admin can allow plain http)",
                          Printable(url->ToPublicString())));
}

}  // namespace

Result<S3Access> S3PlaceFor(const S3Settings& settings, const std::string& bucket,
                            const Credentials& credentials) {
  S3Access access{
      .place = {.endpoint = settings.endpoint, .addressing = settings.addressing, .bucket = bucket},
      .region = settings.region,
      .keys = {}};
  std::optional<Url> own = TRY(EndpointIn(credentials, settings));
  if (own) {
    access.place = {.endpoint = own, .addressing = S3Addressing::kPath, .bucket = bucket};
    access.of_tenants_choice = true;
    access.is_elsewhere = !IsConfigured(*own, settings);
    std::string key_id = KeyIdIn(credentials);
    if (access.is_elsewhere && !key_id.empty()) {
      access.place.account = settings.secret_digest(key_id);
    }
  }
  std::string region = credentials.First({"AWS_REGION", "AWS_DEFAULT_REGION"});
  if (!region.empty()) access.region = region;
  access.fallback_region = FallbackRegion(access.region, settings.region);
  if (!IsS3Region(access.region)) {
    return Fail(Code::kInvalidArgument,
                "AWS_REGION is no region: give one such as eu-central-1");  // a key, perhaps
  }
  return access;
}

Result<S3Access> S3AccessFor(const S3Settings& settings, const std::string& bucket,
                             const Credentials& credentials, AwsNodeKeys* node_keys,
                             std::stop_token stop) {
  S3Access access = TRY(S3PlaceFor(settings, bucket, credentials));
  access.keys = TRY(KeysIn(credentials));
  if (!access.keys && !access.of_tenants_choice && node_keys != nullptr) {
    std::optional<ExpiringAwsKeys> keys = TRY(node_keys->Get(stop));
    if (keys) {
      access.keys = std::move(keys->keys);
      access.keys_end = keys->end;
    }
    access.of_node = true;
  }
  return access;
}

}  // namespace weighhouse::source
