#include "cache-daemon/daemon/options.h"

#include <map>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::daemon {
namespace {

constexpr int kUsageError = 2;

void Describe(CLI::App& app, Options& options) {
  app.add_option("--config", options.config,
                 fmt::format("The configuration file. Default: {}, if it is there",
                             Options::kDefaultConfig))
      ->type_name("FILE");
  app.add_option("--root", options.root,
                 "The cache root, in place of the configuration's cache.root")
      ->type_name("DIR");
  app.add_option("--socket-directory", options.socket_directory,
                 "Where node.sock, admin.sock and watch.sock are made")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--log-level", options.log_level, "In place of the configuration's log.level")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.add_option("--node-name", options.node.name,
                 "This node's name, for the configuration's overrides")
      ->type_name("NAME");
  app.add_option_function<std::string>(
         "--node-labels",
         [&](const std::string& text) {
           Result<std::map<std::string, std::string>> labels = config::ParseLabels(text);
           if (!labels) throw CLI::ValidationError("--node-labels", labels.error().message);
           options.node.labels = *std::move(labels);
         },
         "This node's labels, for the configuration's overrides: label=value, separated by commas")
      ->type_name("LABELS");
  app.add_option("--allow-uid", options.allow_uids,
                 "A user who may connect to node.sock and admin.sock besides root and the daemon's "
                 "own (may be repeated)")
      ->type_name("UID")
      ->allow_extra_args(false);
  app.add_option("--allow-watch-uid", options.allow_watch_uids,
                 "The same for watch.sock, which shows what is cached and what publishes wait for, "
                 "and changes nothing. The sockets are 0660: it needs the daemon's group too")
      ->type_name("UID")
      ->allow_extra_args(false);
  app.add_flag("--allow-root", options.allow_root,
               "Run as root all the same: root inside a container could then own the model files");
  app.add_flag("--list-fault-points", options.list_fault_points,
               "Print where the crash tests kill the daemon, and their number");
  app.set_version_flag("--version", "weighhouse-cached " WEIGHHOUSE_VERSION);
}

std::string UnknownFlag(const CLI::App& app, const std::string& given) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) names.push_back(option->get_name());
  std::vector<std::string_view> candidates(names.begin(), names.end());
  std::string_view nearest = Nearest(given.substr(0, given.find('=')), candidates);
  if (nearest.empty()) return fmt::format("unknown argument '{}': see --help", Printable(given));
  return fmt::format("unknown argument '{}': did you mean {}?", Printable(given), nearest);
}

}  // namespace

std::expected<Options, Printout> ParseOptions(int argc, const char* const* argv) {
  Options options;
  CLI::App app(
      "Keeps model files on this node: fetches each once, verifies it, and serves its trees.");
  app.footer(
      "Exit codes: 0 stopped in order; 1 the sockets can't be made; 2 a mistake in flags or "
      "configuration; "
      "3 the cache root can't be used.\n");
  Describe(app, options);
  app.allow_extras();
  try {  // CLI11 speaks in exceptions
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return std::unexpected(Printout{app.help()});
  } catch (const CLI::CallForVersion&) {
    return std::unexpected(Printout{app.version() + "\n"});
  } catch (const CLI::ParseError& error) {
    return std::unexpected(
        Printout{fmt::format("weighhouse-cached: {}\n", error.what()), kUsageError});
  }
  if (!app.remaining().empty()) {
    return std::unexpected(
        Printout{fmt::format("weighhouse-cached: {}\n", UnknownFlag(app, app.remaining().front())),
                 kUsageError});
  }
  return options;
}

}  // namespace weighhouse::daemon
