#include "cli/options.h"

#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/app.h"
#include "cli/command_flags.h"
#include "cli/command_table.h"
#include "cli/exit_code.h"

namespace weighhouse::cli {
namespace {

constexpr const char* kGroupDescription = "Check a daemon's configuration file, list its keys";

constexpr const char* kFooter =
    "Exit codes: 0 done; 1 failed for good (not found, denied, bad data); 2 wrong usage; 3 failed "
    "for now, try again; "
    "4 no daemon reachable; 130 interrupted.\n"
    "With --output json the result is one JSON object on stdout, also of a failure: "
    "{\"error\":{\"code\":…,\"message\":…}}. Progress and messages go to stderr.\n";

void DescribeGlobal(CLI::App& app, Options& options) {
  app.add_option("--socket", options.socket, "The daemon's admin socket")
      ->type_name("PATH")
      ->capture_default_str();
  app.add_option("--root", options.root,
                 "Work on the cache in DIR without a daemon (made if missing; run as root, "
                 "weighhouse becomes "
                 "its owner first)")
      ->type_name("DIR");
  app.add_option_function<std::string>(
         "--output",
         [&](const std::string& name) {
           options.output = name == "json" ? Output::kJson : Output::kText;
         },
         "text (default) or json")
      ->type_name("FORMAT")
      ->check(OneOf({"text", "json"}));
  app.add_option("--hf-endpoint", options.hf_endpoint,
                 "With --root: the Hub to ask (default: HF_ENDPOINT, else https://huggingface.co)")
      ->type_name("URL");
  app.add_flag("--allow-plain-http", options.allow_plain_http,
               "With --root: let sources be asked over plain http elsewhere than on this host");
  app.set_version_flag("--version", "weighhouse " WEIGHHOUSE_VERSION);
}

/// Where the command stands: of "config check" below "config", which is added if it is missing.
CLI::App& ParentOf(CLI::App& app, std::string_view name) {
  size_t space = name.find(' ');
  if (space == std::string_view::npos) return app;
  std::string group(name.substr(0, space));
  for (CLI::App* known : app.get_subcommands(nullptr)) {
    if (known->get_name() == group) return *known;
  }
  CLI::App& added = *app.add_subcommand(group, kGroupDescription);
  added.require_subcommand(1);
  return added;
}

void Add(CLI::App& app, const CommandRow& row, Options& options) {
  CLI::App& parent = ParentOf(app, row.name);
  std::string name(row.name.substr(row.name.rfind(' ') + 1));
  CLI::App& command = *parent.add_subcommand(name, row.description);
  for (CLI::App* each : {&parent, &command}) {
    if (each == &app) continue;
    each->footer(fmt::format(
        "--socket, --root and --output go with every command: see weighhouse --help.\n{}",
        kFooter));
    each->fallthrough();
    each->allow_extras();
  }
  if (row.describe != nullptr) row.describe(command, options);
}

/// "pull", "config check"; null: "".
std::string NameOf(const CLI::App* command) {
  if (command == nullptr) return "";
  std::vector<CLI::App*> below = command->get_subcommands();
  return below.empty() ? command->get_name() : command->get_name() + " " + below[0]->get_name();
}

/// "did you mean …?" among the names that fit where `given` stood.
std::string Unknown(const CLI::App& app, const CLI::App* command, const std::string& given) {
  std::vector<std::string> names;
  bool is_flag = given.starts_with('-');
  auto add_options = [&](const CLI::App& from) {
    for (const CLI::Option* option : from.get_options()) names.push_back(option->get_name());
  };
  if (is_flag) add_options(app);
  if (is_flag && command) add_options(*command);
  if (!is_flag) {
    const CLI::App& parent = command ? *command : app;
    for (const CLI::App* each : parent.get_subcommands(nullptr)) names.push_back(each->get_name());
  }
  std::vector<std::string_view> candidates(names.begin(), names.end());
  std::string_view nearest = Nearest(given.substr(0, given.find('=')), candidates);
  std::string what = is_flag ? "flag" : names.empty() ? "argument" : "command";
  if (!nearest.empty())
    return fmt::format("unknown {} '{}': did you mean {}?", what, Printable(given), nearest);
  return fmt::format("unknown {} '{}': see weighhouse {}--help", what, Printable(given),
                     command ? NameOf(command) + " " : "");
}

Printout Mistake(const std::string& message) {
  return {fmt::format("weighhouse: {}\n", message), kUsage};
}

std::optional<std::string> WrongTogether(const Options& options) {
  const CommandRow& row = RowOf(options.command);
  if (row.check != nullptr) {
    if (std::optional<std::string> wrong = row.check(options)) return wrong;
  }
  if (!options.root && (!options.hf_endpoint.empty() || options.allow_plain_http)) {
    return "--hf-endpoint and --allow-plain-http go with --root: with a daemon, its configuration "
           "counts";
  }
  if (options.root && options.root->empty()) return "--root is empty: give a directory";
  return std::nullopt;
}

}  // namespace

std::unique_ptr<CLI::App> MakeApp(Options& options) {
  auto app = std::make_unique<CLI::App>("weighhouse: the models in this node's cache");
  app->name("weighhouse");
  app->footer(kFooter);
  app->require_subcommand(0, 1);
  app->allow_extras();
  DescribeGlobal(*app, options);
  for (const CommandRow& row : CommandTable()) Add(*app, row, options);
  return app;
}

std::expected<Options, Printout> ParseOptions(int argc, const char* const* argv) {
  Options options;
  std::unique_ptr<CLI::App> app = MakeApp(options);
  std::string mistake;
  try {  // CLI11 speaks in exceptions
    app->parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return std::unexpected(Printout{app->help()});
  } catch (const CLI::CallForVersion&) {
    return std::unexpected(Printout{app->version() + "\n"});
  } catch (const CLI::ParseError& error) {
    mistake = error.what();
  }
  std::vector<CLI::App*> commands = app->get_subcommands();
  const CLI::App* command = commands.empty() ? nullptr : commands.front();
  std::vector<std::string> extras = app->remaining(true);
  if (!extras.empty()) return std::unexpected(Mistake(Unknown(*app, command, extras.front())));
  if (!mistake.empty()) return std::unexpected(Mistake(mistake));
  if (!command) return std::unexpected(Printout{app->help(), kUsage});
  for (const CommandRow& row : CommandTable()) {
    if (NameOf(command) == row.name) options.command = row.command;
  }
  if (std::optional<std::string> wrong = WrongTogether(options))
    return std::unexpected(Mistake(*wrong));
  return options;
}

}  // namespace weighhouse::cli
