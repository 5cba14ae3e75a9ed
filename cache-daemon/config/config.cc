#include "cache-daemon/config/config.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace weighhouse::config {
namespace {

/// The configuration in which at most this key isn't at its default.
Config Only(const ConfigKey& key, const ConfigValues& values) {
  Config config;
  auto given = values.find(key.name);
  if (given != values.end()) CHECK(key.apply(given->second, config));
  return config;
}

}  // namespace

Bytes SpaceShare::Of(Bytes filesystem_total) const {
  if (percent == 0) return bytes;
  return static_cast<Bytes>(std::floor(static_cast<double>(filesystem_total) * percent / 100));
}

const ConfigKey* FindKey(std::string_view name) {
  std::span<const ConfigKey> keys = ConfigKeys();
  auto found = std::ranges::find(keys, name, &ConfigKey::name);
  return found == keys.end() ? nullptr : &*found;
}

Config ConfigOf(const ConfigValues& values) {
  Config config;
  for (const auto& [name, value] : values) CHECK(FindKey(name)->apply(value, config));
  return config;
}

bool Differs(const ConfigKey& key, const ConfigValues& one, const ConfigValues& other) {
  return Only(key, one) != Only(key, other);
}

ReloadPlan PlanReload(const ConfigValues& running, const ConfigValues& wanted) {
  ReloadPlan plan;
  for (const ConfigKey& key : ConfigKeys()) {
    bool at_once = key.takes_effect == TakesEffect::kAtOnce;
    const ConfigValues& from = at_once ? wanted : running;
    auto value = from.find(key.name);
    if (value != from.end()) plan.effective.insert(*value);
    if (Differs(key, running, wanted)) (at_once ? plan.applied : plan.pending).push_back(key.name);
  }
  return plan;
}

}  // namespace weighhouse::config
