#pragma once

#include <sys/types.h>

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "cache-daemon/config/document.h"

namespace weighhouse::daemon {

/// The command line of weighhouse-cached.
struct Options {
  static constexpr const char* kDefaultConfig = "/etc/weighhouse/config.yaml";

  std::optional<std::string> config;  ///< unset: kDefaultConfig, which may be absent
  std::optional<std::string> root;    ///< goes before the configuration's
  std::string socket_directory = "/run/weighhouse";
  std::optional<std::string> log_level;  ///< goes before the configuration's
  std::vector<uid_t> allow_uids;
  std::vector<uid_t> allow_watch_uids;
  bool allow_root = false;
  config::Node node;  ///< for the configuration's overrides
  bool list_fault_points = false;
};

/// What is to be printed instead of serving, and the exit code (0 for --help and --version, 2 for a
/// mistake).
struct Printout {
  std::string text;
  int exit_code = 0;
};

std::expected<Options, Printout> ParseOptions(int argc, const char* const* argv);

}  // namespace weighhouse::daemon
