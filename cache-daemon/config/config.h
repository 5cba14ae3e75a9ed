#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/listen_address.h"
#include "base/log_format.h"
#include "base/model.h"
#include "base/rights_options.h"
#include "base/units.h"
#include "cache-daemon/fill/filler.h"
#include "cache-daemon/io/io_engine.h"
#include "cache-daemon/source/bucket_sources.h"
#include "cache-daemon/source/model_rules.h"
#include "cache-daemon/source/pickle_files.h"
#include "cache-daemon/source/transport.h"

namespace weighhouse::config {

/// Bytes, or a part of the filesystem that the cache lies on.
struct SpaceShare {
  Bytes bytes = 0;
  double percent = 0;  ///< in (0, 100]; 0: `bytes` counts
  Bytes Of(Bytes filesystem_total) const;
  bool operator==(const SpaceShare&) const = default;
};

/// What the keys mean. The defaults are those of an absent file.
struct Config {
  std::string root = "/var/lib/weighhouse";
  std::optional<SpaceShare> limit;     ///< unset: the filesystem's size
  std::optional<SpaceShare> min_free;  ///< unset: by where the root lies
  std::chrono::seconds hold_timeout{600};
  fill::FillerOptions fill;
  source::TransportOptions transport;
  io::IoEngineChoice write_engine = io::IoEngineChoice::kAuto;
  Bytes buffer_memory = 128 * kMiB;
  Bytes scrub_daily_bytes = 100 * kGiB;  ///< 0: no scrub
  Bytes scrub_rate = 64 * kMiB;          ///< a second; 0: no limit
  Bytes verify_rate = 512 * kMiB;        ///< a second; 0: no limit
  std::string hub_endpoint;              ///< empty: as EngineOptions::hub_endpoint
  std::vector<std::string> hub_mirrors;  ///< as SourceOptions::hub_mirrors
  bool hub_offline = false;
  std::string modelscope_endpoint;  ///< empty: as SourceOptions::modelscope_endpoint
  bool allow_plain_http = false;
  std::vector<source::AddressRange> allow_addresses;  ///< as SourceOptions
  source::Proxies proxies;                            ///< as SourceOptions
  source::BucketOptions buckets;
  std::vector<std::string> local_roots;
  std::vector<std::string> allow{"*"};  ///< as SourceOptions::allow
  std::vector<std::string> deny;        ///< as SourceOptions
  std::vector<source::NamespaceRule> allow_by_namespace, deny_by_namespace;  ///< as SourceOptions
  source::PicklePolicy pickle = source::PicklePolicy::kAllow;
  RightsOptions rights;
  std::vector<ModelReference> keep;           ///< no two name the same
  std::optional<ListenAddress> admin_listen;  ///< unset: no admin port
  bool admin_details = false;                 ///< its status page names models and pods
  std::string log_level = "info";
  LogFormat log_format = LogFormat::kText;
  bool operator==(const Config&) const = default;
};

/// A value as the document has it: the text of a scalar, or those of a list.
struct ConfigValue {
  bool is_list = false;
  std::vector<std::string> items;
  bool operator==(const ConfigValue&) const = default;
};

enum class TakesEffect { kAtOnce, kAtRestart };

/// One key. The whole configuration is the table of these: a new key is a new row, and the
/// reference page is made from it.
struct ConfigKey {
  std::string_view name;  ///< dotted: `cache.limit`
  TakesEffect takes_effect = TakesEffect::kAtRestart;
  std::string_view allowed;        ///< completes "give …" in errors
  std::string_view default_value;  ///< for people
  std::string_view meaning;        ///< for people: whole sentences
  /// Takes `value` into `config`; false if it is not allowed.
  bool (*apply)(const ConfigValue& value, Config& config);
};

/// In the order of the reference page.
std::span<const ConfigKey> ConfigKeys();
/// Null: there is none of that name.
const ConfigKey* FindKey(std::string_view name);

/// Values by the names of their keys (those of the table: they live as long as the program). What
/// isn't there has its default. All are allowed ones.
using ConfigValues = std::map<std::string_view, ConfigValue>;

Config ConfigOf(const ConfigValues& values);
/// Whether the key means something else in `one` than in `other`, however it is written there.
bool Differs(const ConfigKey& key, const ConfigValues& one, const ConfigValues& other);

/// What a running daemon does about a configuration that it reads again.
struct ReloadPlan {
  ConfigValues effective;                 ///< from now on
  std::vector<std::string_view> applied;  ///< keys that have another meaning from now on
  std::vector<std::string_view> pending;  ///< keys that will have one at the next start
};
/// `running`: what is in effect; `wanted`: what the file says.
ReloadPlan PlanReload(const ConfigValues& running, const ConfigValues& wanted);

}  // namespace weighhouse::config
