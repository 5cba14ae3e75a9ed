#include "cache-daemon/daemon/config_source.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace weighhouse::daemon {

Result<ConfigSource> ConfigSourceOf(const Options& options) {
  ConfigSource source{.file = options.config.value_or(Options::kDefaultConfig),
                      .optional = !options.config,
                      .node = options.node,
                      .flags = {}};
  if (options.root) {
    std::error_code failed;
    std::string root = std::filesystem::absolute(*options.root, failed).string();
    if (failed) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("--root {}: {}", *options.root, failed.message()));
    }
    source.flags["cache.root"] = {.is_list = false, .items = {std::move(root)}};
  }
  if (options.log_level)
    source.flags["log.level"] = {.is_list = false, .items = {*options.log_level}};
  return source;
}

Result<Reading> ReadConfig(const ConfigSource& source, const std::optional<std::string>& text) {
  Reading reading{.values = source.flags};
  if (!text) return reading;
  config::Document document = TRY(config::ParseDocument(*text, source.file));
  reading.values.merge(document.For(source.node));
  for (size_t i = 0; i < document.overrides.size(); ++i) {
    const config::Override& each = document.overrides[i];
    auto warn = [&](std::string_view what, std::string_view flag) {
      reading.warnings.push_back(
          fmt::format("override {} of {} asks for {}, but the daemon was not told this node's: "
                      "give it {}",
                      i + 1, source.file, what, flag));
    };
    if (!each.node_labels.empty() && source.node.labels.empty())
      warn("node labels", "--node-labels");
    if (!each.node_names.empty() && source.node.name.empty())
      warn("the node's name", "--node-name");
  }
  return reading;
}

}  // namespace weighhouse::daemon
