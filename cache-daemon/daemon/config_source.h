#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cache-daemon/config/document.h"
#include "cache-daemon/daemon/options.h"

namespace weighhouse::daemon {

/// Where a daemon's configuration comes from, and for whom it is read.
struct ConfigSource {
  std::string file;
  bool optional = false;  ///< the file may be absent: its place is only the default one
  config::Node node;
  config::ConfigValues flags;  ///< given on the command line: they go before the file's
};

/// kInvalidArgument: a flag that is not allowed.
Result<ConfigSource> ConfigSourceOf(const Options& options);

/// A configuration as this node has to take it.
struct Reading {
  config::ConfigValues values;
  std::vector<std::string> warnings;
};

/// `text`: the file's; nothing: there is none. kInvalidArgument as ParseDocument.
Result<Reading> ReadConfig(const ConfigSource& source, const std::optional<std::string>& text);

}  // namespace weighhouse::daemon
