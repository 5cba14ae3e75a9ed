#include <algorithm>
#include <array>

#include "base/error.h"
#include "cache-daemon/config/config.h"
#include "cache-daemon/config/key_tables.h"
#include "cache-daemon/config/value_readers.h"

namespace weighhouse::config {
namespace {

constexpr Bytes kMinimumLimit = kMiB;
constexpr Bytes kMinimumBufferMemory = 16 * kMiB;
/// Less would be a few pieces of 16 KiB a second.
constexpr Bytes kMinimumBandwidth = 64 * kKiB;

constexpr Bytes kMinimumReadRate = kMiB;
constexpr Bytes kMinimumDailyBytes = kMiB;

constexpr size_t kMostKept = 100;

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
              "A connection that brings no byte for this long is given up and tried again. A file "
              "of which less than 1 MiB has come in twice this time, a minute at least, fails.",
              [](const ConfigValue& value, Config& config) {
                auto taken = TakeSeconds(value, 1, 3600, config.transport.stall_timeout);
                config.fill.stall_timeout = config.transport.stall_timeout;
                return taken;
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
    ConfigKey{"admin.listen", kAtRestart,
              "an address such as 127.0.0.1:9899, \"[::1]:9899\" or \":9899\" (every address), or "
              "off",
              "off",
              "Where the status page (/), its document (/api/v1/status), /metrics, /healthz and "
              "/readyz are served, by HTTP, to whoever asks.",
              [](const ConfigValue& value, Config& config) {
                return TakeListenAddress(value, config.admin_listen);
              }},
    ConfigKey{"admin.details", kAtRestart, "true or false", "false",
              "Whether the status page names models, and the namespaces and pods that use them, to "
              "whoever reaches the admin port. Without it it shows sums, sizes, states and the "
              "beginnings of snapshots' ids.",
              [](const ConfigValue& value, Config& config) {
                return TakeChoice<bool>(value, {{"true", true}, {"false", false}},
                                        config.admin_details);
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
    for (std::span<const ConfigKey> part : {RightsKeys(), SourceKeys(), SourcePolicyKeys()}) {
      keys.insert(std::ranges::find(keys, "admin.listen", &ConfigKey::name), part.begin(),
                  part.end());
    }
    return keys;
  }();
  return all;
}

}  // namespace weighhouse::config
