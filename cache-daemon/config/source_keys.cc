#include <array>

#include "cache-daemon/config/key_tables.h"
#include "cache-daemon/config/value_readers.h"

namespace weighhouse::config {
namespace {

/// A part of a host's name.
bool TakeRegion(const ConfigValue& value, std::string& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text || !source::IsS3Region(*text)) return false;
  out = *text;
  return true;
}

/// Whose rights models without credentials of their own are asked with.
bool TakeNodeCredentials(const ConfigValue& value, bool& out) {
  return TakeChoice<bool>(value, {{"off", false}, {"auto", true}}, out);
}

using enum TakesEffect;

constexpr std::array kSourceKeys = {
    ConfigKey{"sources.huggingface.endpoint", kAtRestart,
              "an http:// or https:// URL without user, query or fragment",
              "the environment's HF_ENDPOINT, else https://huggingface.co",
              "The Hub that hf:// models come from.",
              [](const ConfigValue& value, Config& config) {
                return TakeEndpoint(value, config.hub_endpoint);
              }},
    ConfigKey{
        "sources.huggingface.mirrors", kAtRestart,
        "a list of at most 10 http:// or https:// URLs without user, query or fragment", "[]",
        "Other Hubs with the same models, asked in this order while the endpoint is away. Callers' "
        "tokens are sent to them too, and what they show to a caller is served to it: list none "
        "that shows more than the Hub would.",
        [](const ConfigValue& value, Config& config) {
          return TakeEndpoints(value, config.hub_mirrors);
        }},
    ConfigKey{"sources.huggingface.offline", kAtOnce, "true or false", "false",
              "Whether the Hub and its mirrors are never asked: hf:// models are then served if "
              "they are cached, and public or granted (`rights.grantTtl`), a branch as the commit "
              "that it last was.",
              [](const ConfigValue& value, Config& config) {
                return TakeSwitch(value, config.hub_offline);
              }},
    ConfigKey{"sources.modelscope.endpoint", kAtRestart,
              "an http:// or https:// URL without user, query or fragment", "https://modelscope.cn",
              "Where modelscope:// models come from.",
              [](const ConfigValue& value, Config& config) {
                return TakeEndpoint(value, config.modelscope_endpoint);
              }},
    ConfigKey{"sources.s3.endpoint", kAtRestart,
              "an http:// or https:// URL without user, query or fragment",
              "the environment's AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, else AWS",
              "The service that s3:// models come from where their secret has no "
              "AWS_ENDPOINT_URL: MinIO, R2, Ceph and others.",
              [](const ConfigValue& value, Config& config) {
                return TakeEndpoint(value, config.buckets.s3_endpoint);
              }},
    ConfigKey{
        "sources.s3.region", kAtRestart, "a region such as eu-central-1",
        "the environment's AWS_REGION or AWS_DEFAULT_REGION, else us-east-1",
        "The region that is asked first where the secret has no AWS_REGION; a bucket's own is "
        "found by itself.",
        [](const ConfigValue& value, Config& config) {
          return TakeRegion(value, config.buckets.s3_region);
        }},
    ConfigKey{"sources.s3.addressing", kAtRestart, "auto, path or virtual", "auto",
              "How a bucket is named in URLs: endpoint/bucket or bucket.endpoint. auto: by host at "
              "AWS, where the name allows it, and by path elsewhere.",
              [](const ConfigValue& value, Config& config) {
                using enum source::S3Addressing;
                return TakeChoice<source::S3Addressing>(
                    value, {{"auto", kAuto}, {"path", kPath}, {"virtual", kVirtual}},
                    config.buckets.s3_addressing);
              }},
    ConfigKey{"sources.s3.nodeCredentials", kAtRestart, "off or auto", "off",
              "Whether s3:// models whose pod has no keys are asked for with the node's own, which "
              "then count for all tenants: the daemon's environment, its web identity (IRSA), EKS "
              "Pod Identity, the instance's role. Never sent to an endpoint that a secret names.",
              [](const ConfigValue& value, Config& config) {
                return TakeNodeCredentials(value, config.buckets.s3_node_credentials);
              }},
    ConfigKey{"sources.gcs.endpoint", kAtRestart,
              "an http:// or https:// URL without user, query or fragment",
              "the environment's STORAGE_EMULATOR_HOST, else https://storage.googleapis.com",
              "The service that gs:// models come from.",
              [](const ConfigValue& value, Config& config) {
                return TakeEndpoint(value, config.buckets.gcs_endpoint);
              }},
    ConfigKey{
        "sources.gcs.nodeCredentials", kAtRestart, "off or auto", "off",
        "Whether gs:// models whose pod has no credentials are asked for with the node's own, "
        "which then count for all tenants: the service account in the file that the daemon's "
        "GOOGLE_APPLICATION_CREDENTIALS names, else the metadata server's.",
        [](const ConfigValue& value, Config& config) {
          return TakeNodeCredentials(value, config.buckets.gcs_node_credentials);
        }},
};

}  // namespace

std::span<const ConfigKey> SourceKeys() { return kSourceKeys; }

}  // namespace weighhouse::config
