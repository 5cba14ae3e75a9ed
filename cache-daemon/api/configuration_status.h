#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proto/cache.pb.h"

namespace weighhouse::api {

/// How a daemon stands to its configuration file.
struct ConfigurationStatus {
  std::string file;                               ///< empty: there is none, and the defaults count
  std::chrono::system_clock::time_point applied;  ///< when what is in effect was taken over
  uint64_t reloads = 0;                           ///< since the start
  uint64_t failures = 0;                          ///< files that could not be taken over
  std::string error;                              ///< why the file is not in effect; empty: it is
  std::vector<std::string> pending;               ///< keys whose values apply at the next start
  std::vector<std::string> warnings;              ///< what is allowed, but will bring trouble
};

/// Thread-safe; null where there is no configuration file.
using ConfigurationStatusSource = std::function<ConfigurationStatus()>;

cache::v1::ConfigurationStatus FromConfigurationStatus(const ConfigurationStatus& status);

}  // namespace weighhouse::api
