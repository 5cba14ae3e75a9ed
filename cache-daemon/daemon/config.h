#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "cache-daemon/engine/engine.h"

namespace weighhouse::daemon {

/// Bytes, or a part of the filesystem that the cache lies on.
struct SpaceShare {
  Bytes bytes = 0;
  double percent = 0;  ///< in (0, 100]; 0: `bytes` counts
  Bytes Of(Bytes filesystem_total) const;
  bool operator==(const SpaceShare&) const = default;
};

enum class LogFormat { kText, kJson };

/// What the configuration file says. The defaults are those of an absent file.
struct Config {
  std::string root = "/var/lib/weighhouse";
  std::optional<SpaceShare> limit;     ///< unset: the filesystem's size
  std::optional<SpaceShare> min_free;  ///< unset: as StoreOptions::min_free
  fill::FillerOptions fill;
  source::TransportOptions transport;
  io::IoEngineChoice write_engine = io::IoEngineChoice::kAuto;
  Bytes buffer_memory = 128 * kMiB;
  ScrubOptions scrub{.daily_bytes = 100 * kGiB, .bytes_per_second = 64 * kMiB};
  Bytes verify_rate = 512 * kMiB;
  std::string hub_endpoint;  ///< empty: as EngineOptions::hub_endpoint
  bool allow_plain_http = false;
  std::vector<std::string> local_roots;
  std::string log_level = "info";
  LogFormat log_format = LogFormat::kText;
};

/// A value as the document has it: the text of a scalar, or those of a list.
struct ConfigValue {
  bool is_list = false;
  std::vector<std::string> items;
};

/// One key. The whole configuration is the table of these: a new key is a new row, and the
/// reference page is checked against it.
struct ConfigKey {
  std::string_view name;           ///< dotted: `cache.limit`
  std::string_view allowed;        ///< completes "give …" in errors
  std::string_view default_value;  ///< for people
  std::string_view meaning;        ///< one sentence
  /// Takes `value` into `config`; false if it is not allowed.
  bool (*apply)(const ConfigValue& value, Config& config);
};

/// In the order of the reference page.
std::span<const ConfigKey> ConfigKeys();

/// Reads a YAML document. kInvalidArgument: `<name>:<line>: …` with the key, the value and what is
/// allowed, or the nearest known key; not YAML; a key twice.
Result<Config> ParseConfig(const std::string& text, std::string_view name);

enum class Presence { kRequired, kOptional };
/// Reads the file at `path`. An absent one is the defaults if it is optional.
Result<Config> LoadConfig(const std::string& path, Presence presence);

/// What the engine is opened with. `filesystem_total`: of the filesystem of `config.root`, for
/// shares of it.
EngineOptions ToEngineOptions(const Config& config, Bytes filesystem_total);

}  // namespace weighhouse::daemon
