#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "base/error.h"
#include "cache-daemon/config/config.h"
#include "cache-daemon/config/source_policy_keys.h"

namespace weighhouse::config {
namespace {

constexpr Bytes kMinimumLimit = kMiB;
constexpr Bytes kMinimumBufferMemory = 16 * kMiB;
/// Less would be a few pieces of 16 KiB a second.
constexpr Bytes kMinimumBandwidth = 64 * kKiB;

constexpr Bytes kMinimumReadRate = kMiB;
constexpr Bytes kMinimumDailyBytes = kMiB;

constexpr size_t kMostKept = 100;

/// The one scalar of `value`, or nothing.
std::optional<std::string_view> Scalar(const ConfigValue& value) {
  if (value.is_list) return std::nullopt;
  return value.items.front();
}

template <class Number>
std::optional<Number> ToNumber(std::string_view text) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

template <class Number>
bool TakeNumber(const ConfigValue& value, Number least, Number most, Number& out) {
  std::optional<std::string_view> text = Scalar(value);
  std::optional<Number> number = text ? ToNumber<Number>(*text) : std::nullopt;
  if (!number || *number < least || *number > most) return false;
  out = *number;
  return true;
}

bool TakeBytes(const ConfigValue& value, Bytes least, Bytes& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text) return false;
  Result<Bytes> bytes = ParseBytes(*text);
  if (!bytes || *bytes < least) return false;
  out = *bytes;
  return true;
}

/// 0 says that there is no limit.
bool TakeBandwidth(const ConfigValue& value, Bytes& out) {
  return TakeBytes(value, 0, out) && (out == 0 || out >= kMinimumBandwidth);
}

/// 0 says that there is no limit. (Less would be a few pieces of 4 MiB a minute.)
bool TakeReadRate(const ConfigValue& value, Bytes& out) {
  return TakeBytes(value, 0, out) && (out == 0 || out >= kMinimumReadRate);
}

/// 0 says that nothing is read.
bool TakeDailyBytes(const ConfigValue& value, Bytes& out) {
  return TakeBytes(value, 0, out) && (out == 0 || out >= kMinimumDailyBytes);
}

bool TakeShare(const ConfigValue& value, Bytes least, std::optional<SpaceShare>& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text) return false;
  SpaceShare share;
  if (!text->ends_with('%')) {
    if (!TakeBytes(value, least, share.bytes)) return false;
  } else {
    std::optional<double> percent = ToNumber<double>(text->substr(0, text->size() - 1));
    if (!percent || !(*percent > 0 && *percent <= 100)) return false;
    share.percent = *percent;
  }
  out = share;
  return true;
}

template <class Duration>
bool TakeSeconds(const ConfigValue& value, int least, int most, Duration& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text || !text->ends_with('s')) return false;
  std::optional<int> seconds = ToNumber<int>(text->substr(0, text->size() - 1));
  if (!seconds || *seconds < least || *seconds > most) return false;
  out = std::chrono::seconds(*seconds);
  return true;
}

template <class Choice>
bool TakeChoice(const ConfigValue& value, const std::map<std::string_view, Choice>& choices,
                Choice& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text) return false;
  auto choice = choices.find(*text);
  if (choice == choices.end()) return false;
  out = choice->second;
  return true;
}

bool TakePath(const ConfigValue& value, std::string& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text || !text->starts_with('/')) return false;
  out = *text;
  return true;
}

/// Whether both ask for the same: `hf://org/name` and `hf://org/name@main` do.
bool NameTheSame(const ModelReference& one, const ModelReference& other) {
  return one.uri == other.uri && one.RevisionOrDefault() == other.RevisionOrDefault();
}

bool TakeModels(const ConfigValue& value, std::vector<ModelReference>& out) {
  if (!value.is_list || value.items.size() > kMostKept) return false;
  std::vector<ModelReference> models;
  for (const std::string& text : value.items) {
    Result<ModelReference> model = ModelReference::Parse(text);
    if (!model) return false;
    auto same = [&](const ModelReference& other) { return NameTheSame(*model, other); };
    if (std::ranges::any_of(models, same)) return false;
    models.push_back(*std::move(model));
  }
  out = std::move(models);
  return true;
}

bool TakeEndpoint(const ConfigValue& value, std::string& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text) return false;
  size_t host = text->starts_with("https://") ? 8 : text->starts_with("http://") ? 7 : text->size();
  if (host >= text->size() || text->substr(host).find_first_of("@?# ") != std::string_view::npos)
    return false;
  while (text->ends_with('/')) text->remove_suffix(1);
  out = *text;
  return true;
}

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

bool TakeEndpoints(const ConfigValue& value, std::vector<std::string>& out) {
  constexpr size_t kMostEndpoints = 10;
  if (!value.is_list || value.items.size() > kMostEndpoints) return false;
  std::vector<std::string> endpoints(value.items.size());
  for (size_t i = 0; i < endpoints.size(); ++i) {
    if (!TakeEndpoint({.items = {value.items[i]}}, endpoints[i])) return false;
  }
  out = std::move(endpoints);
  return true;
}

bool TakeListenAddress(const ConfigValue& value, std::optional<ListenAddress>& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text) return false;
  out.reset();
  if (*text == "off") return true;
  Result<ListenAddress> address = ListenAddress::Parse(*text);
  if (!address) return false;
  out = *std::move(address);
  return true;
}

using enum TakesEffect;

constexpr std::array kKeys = {
    ConfigKey{
        "cache.root", kAtRestart, "an absolute path", "/var/lib/weighhouse",
        "The directory that holds the cache; a filesystem of its own is best.",
        [](const ConfigValue& value, Config& config) { return TakePath(value, config.root); }},
    ConfigKey{"cache.limit", kAtOnce,
              "bytes of at least 1Mi, such as 500Gi, or a percentage of the filesystem such as 80%",
              "the filesystem's size",
              "What the cache may use. A smaller one evicts what nobody uses, at once.",
              [](const ConfigValue& value, Config& config) {
                return TakeShare(value, kMinimumLimit, config.limit);
              }},
    ConfigKey{
        "cache.minFree", kAtOnce,
        "bytes such as 20Gi, or a percentage of the filesystem such as 5%",
        "20% where the node's system, kubelet or its runtime use the same filesystem, else 5%",
        "What stays free on the filesystem. Less than 20% of one that kubelet or its runtime use "
        "too is warned about: at 85 % full kubelet removes images, then evicts pods.",
        [](const ConfigValue& value, Config& config) {
          return TakeShare(value, 0, config.min_free);
        }},
    ConfigKey{"cache.holdTimeout", kAtOnce, "seconds from 1s to 86400s, such as 600s", "600s",
              "How long room is kept for a claim that was provisioned here until the first pod "
              "publishes it. Claims that have room already keep their time.",
              [](const ConfigValue& value, Config& config) {
                return TakeSeconds(value, 1, 86400, config.hold_timeout);
              }},
    ConfigKey{"fill.files", kAtRestart, "a number from 1 to 64", "8",
              "Files fetched at the same moment, over all models.",
              [](const ConfigValue& value, Config& config) {
                return TakeNumber<size_t>(value, 1, 64, config.fill.max_active_files);
              }},
    ConfigKey{"fill.connections", kAtOnce, "a number from 1 to 1024", "64",
              "Connections at the same moment, over all models and hosts.",
              [](const ConfigValue& value, Config& config) {
                return TakeNumber<size_t>(value, 1, 1024, config.fill.connections);
              }},
    ConfigKey{"fill.connectionsPerHost", kAtOnce, "a number from 1 to 256", "32",
              "Connections to one host, at most; as many as bring more are used.",
              [](const ConfigValue& value, Config& config) {
                return TakeNumber<size_t>(value, 1, 256, config.fill.connections_per_host);
              }},
    ConfigKey{"fill.bandwidthLimit", kAtOnce,
              "bytes a second of at least 64Ki, such as 100Mi, or 0 for no limit", "0",
              "What all fills together fetch a second, at most.",
              [](const ConfigValue& value, Config& config) {
                return TakeBandwidth(value, config.fill.bandwidth_limit);
              }},
    ConfigKey{"fill.loops", kAtRestart, "a number from 0 to 32", "0",
              "Threads that receive, at most; they are begun as they are needed, and 0 lets the "
              "number of hardware threads decide.",
              [](const ConfigValue& value, Config& config) {
                return TakeNumber<int>(value, 0, 32, config.transport.max_loops);
              }},
    ConfigKey{"fill.stallTimeout", kAtOnce, "seconds from 1s to 3600s, such as 30s", "30s",
              "A connection that brings no byte for this long is given up and tried again.",
              [](const ConfigValue& value, Config& config) {
                return TakeSeconds(value, 1, 3600, config.transport.stall_timeout);
              }},
    ConfigKey{"fill.warm", kAtOnce, "true or false", "false",
              "Whether a model that was filled is read ahead into the page cache where memory is "
              "available; without effect under a memory limit.",
              [](const ConfigValue& value, Config& config) {
                return TakeChoice<bool>(value, {{"true", true}, {"false", false}},
                                        config.fill.warm);
              }},
    ConfigKey{"fill.engine", kAtRestart, "auto, io_uring or pwrite", "auto",
              "How files are written; auto takes io_uring where the node allows it.",
              [](const ConfigValue& value, Config& config) {
                using enum io::IoEngineChoice;
                return TakeChoice<io::IoEngineChoice>(
                    value, {{"auto", kAuto}, {"io_uring", kIoUring}, {"pwrite", kPwrite}},
                    config.write_engine);
              }},
    ConfigKey{"fill.bufferMemory", kAtRestart, "bytes of at least 16Mi, such as 128Mi", "128Mi",
              "Memory that all fills share, whatever the models' sizes.",
              [](const ConfigValue& value, Config& config) {
                return TakeBytes(value, kMinimumBufferMemory, config.buffer_memory);
              }},
    ConfigKey{
        "keep", kAtOnce,
        "a list of at most 100 models, each named once, such as [hf://org/name@main]", "[]",
        "Models that everybody may have and that this node keeps: fetched after what pods "
        "wait for, and never evicted.",
        [](const ConfigValue& value, Config& config) { return TakeModels(value, config.keep); }},
    ConfigKey{"scrub.dailyBytes", kAtRestart,
              "bytes of at least 1Mi, such as 100Gi, or 0 for no scrub", "100Gi",
              "What is read again a day, in the background, to find what the disk has damaged.",
              [](const ConfigValue& value, Config& config) {
                return TakeDailyBytes(value, config.scrub_daily_bytes);
              }},
    ConfigKey{"scrub.rate", kAtRestart,
              "bytes a second of at least 1Mi, such as 64Mi, or 0 for no limit", "64Mi",
              "What the scrub reads a second, at most.",
              [](const ConfigValue& value, Config& config) {
                return TakeReadRate(value, config.scrub_rate);
              }},
    ConfigKey{"scrub.verifyRate", kAtRestart,
              "bytes a second of at least 1Mi, such as 512Mi, or 0 for no limit", "512Mi",
              "What `weighhouse verify` reads a second, at most, where its --rate doesn't say.",
              [](const ConfigValue& value, Config& config) {
                return TakeReadRate(value, config.verify_rate);
              }},
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
              "they are cached and public, a branch as the commit that it last was.",
              [](const ConfigValue& value, Config& config) {
                return TakeChoice<bool>(value, {{"true", true}, {"false", false}},
                                        config.hub_offline);
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
    ConfigKey{"admin.listen", kAtRestart,
              "an address such as 127.0.0.1:9899, \"[::1]:9899\" or \":9899\" (every address), or "
              "off",
              "off", "Where /metrics, /healthz and /readyz are served, by HTTP, to whoever asks.",
              [](const ConfigValue& value, Config& config) {
                return TakeListenAddress(value, config.admin_listen);
              }},
    ConfigKey{
        "log.level", kAtOnce, "debug, info, warning or error", "info",
        "The least serious lines that are logged.",
        [](const ConfigValue& value, Config& config) {
          return TakeChoice<std::string>(
              value,
              {{"debug", "debug"}, {"info", "info"}, {"warning", "warning"}, {"error", "error"}},
              config.log_level);
        }},
    ConfigKey{"log.format", kAtOnce, "text or json", "text", "How log lines look.",
              [](const ConfigValue& value, Config& config) {
                using enum LogFormat;
                return TakeChoice<LogFormat>(value, {{"text", kText}, {"json", kJson}},
                                             config.log_format);
              }},
};

}  // namespace

std::span<const ConfigKey> ConfigKeys() {
  static const std::vector<ConfigKey> all = [] {
    std::vector<ConfigKey> keys(kKeys.begin(), kKeys.end());
    std::span<const ConfigKey> policy = SourcePolicyKeys();
    keys.insert(std::ranges::find(keys, "admin.listen", &ConfigKey::name), policy.begin(),
                policy.end());
    return keys;
  }();
  return all;
}

}  // namespace weighhouse::config
