#include "cli/options.h"

#include <array>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/exit_code.h"

namespace weighhouse::cli {
namespace {

/// As fill.bandwidthLimit.
constexpr Bytes kMinimumBandwidth = 64 * kKiB;

/// A piece that is read is of 4 MiB.
constexpr Bytes kMinimumRate = kMiB;

/// What a flag says of bytes a second: `least` or more, or 0 for no limit.
Bytes ParseRate(const char* flag, const std::string& text, Bytes least) {
  Result<Bytes> bytes = ParseBytes(text);
  if (!bytes) throw CLI::ValidationError(flag, bytes.error().message);
  if (*bytes == 0 || *bytes >= least) return *bytes;
  throw CLI::ValidationError(flag, fmt::format("give at least {}Ki, or 0 for none", least / kKiB));
}

constexpr const char* kFooter =
    "Exit codes: 0 done; 1 failed for good (not found, denied, bad data); 2 wrong usage; 3 failed "
    "for now, try again; "
    "4 no daemon reachable; 130 interrupted.\n"
    "With --output json the result is one JSON object on stdout, also of a failure: "
    "{\"error\":{\"code\":…,\"message\":…}}. Progress and messages go to stderr.\n";

constexpr std::array kCommands = {
    std::pair(Command::kPull, std::string_view("pull")),
    std::pair(Command::kList, std::string_view("ls")),
    std::pair(Command::kStatus, std::string_view("status")),
    std::pair(Command::kInspect, std::string_view("inspect")),
    std::pair(Command::kEvict, std::string_view("evict")),
    std::pair(Command::kVerify, std::string_view("verify")),
    std::pair(Command::kConfigCheck, std::string_view("config check")),
    std::pair(Command::kConfigKeys, std::string_view("config keys")),
    std::pair(Command::kVersion, std::string_view("version")),
};

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
      ->check(CLI::IsMember({"text", "json"}).description(""));
  app.add_option("--hf-endpoint", options.hf_endpoint,
                 "With --root: the Hub to ask (default: HF_ENDPOINT, else https://huggingface.co)")
      ->type_name("URL");
  app.add_flag("--allow-plain-http", options.allow_plain_http,
               "With --root: take http:// models from other hosts than this one");
  app.set_version_flag("--version", "weighhouse " WEIGHHOUSE_VERSION);
}

CLI::App& Add(CLI::App& app, std::string_view name, const char* description) {
  CLI::App& command = *app.add_subcommand(std::string(name), description);
  command.footer(fmt::format(
      "--socket, --root and --output go with every command: see weighhouse --help.\n{}", kFooter));
  command.fallthrough();
  command.allow_extras();
  return command;
}

void DescribeModel(CLI::App& command, Options& options) {
  command
      .add_option("MODEL", options.subject,
                  "hf://org/name[@revision], https://host/path/file[#sha256=hex] or file:///path")
      ->required();
  command.add_option("--revision", options.revision, "Branch, tag, refs/pr/N or commit");
  command.add_option("--allow", options.allow, "Only files that match GLOB (may be repeated)")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  command
      .add_option(
          "--ignore", options.ignore,
          "No files that match GLOB (may be repeated); replaces the default ignore patterns")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  command
      .add_option("--token-file", options.token_file,
                  "A file with an access token (default: the environment's HF_TOKEN)")
      ->type_name("FILE");
}

void DescribeConfig(CLI::App& app, Options& options) {
  CLI::App& config = Add(app, "config", "Check a daemon's configuration file, list its keys");
  config.require_subcommand(1);
  Add(config, "check",
      "Check a configuration file: exits with 2 and says line, key, value and what is allowed if "
      "it "
      "is wrong")
      .add_option("FILE", options.subject, "The file; /dev/stdin for what is piped in")
      ->required();
  Add(config, "keys", "Print the reference page of all keys");
}

void DescribeCommands(CLI::App& app, Options& options) {
  CLI::App& pull = Add(app, "pull", "Fetch a model, verify it, and say where its tree is");
  DescribeModel(pull, options);
  pull.add_option_function<std::string>(
          "--layout",
          [&](const std::string& name) {
            options.layout = name == "hub" ? Layout::kHub : Layout::kFiles;
          },
          "files (default): the model's files; hub: a Hugging Face cache directory")
      ->type_name("LAYOUT")
      ->check(CLI::IsMember({"files", "hub"}).description(""));
  pull.add_option_function<std::string>(
          "--bandwidth-limit",
          [&](const std::string& text) {
            options.bandwidth_limit = ParseRate("--bandwidth-limit", text, kMinimumBandwidth);
          },
          "With --root: fetch at most so many bytes a second, such as 100Mi")
      ->type_name("BYTES");
  pull.add_flag("-q,--quiet", options.quiet, "No progress");
  Add(app, "ls", "List the models in the cache, most recently used first");
  Add(app, "status", "Show space, fills and how the daemon runs");
  DescribeModel(Add(app, "inspect",
                    "Ask what a model consists of and what a pull would fetch; fetches no file"),
                options);
  CLI::App& evict = Add(app, "evict", "Remove a model that nobody uses");
  evict.add_option("MODEL|ID", options.subject,
                   "A model reference, or a snapshot's id or its beginning");
  evict.add_flag("--quarantine", options.quarantine,
                 "The bad files that verify or the scrub found");
  CLI::App& verify =
      Add(app, "verify", "Read files again and compare their digests; exits with 1 if one is bad");
  verify.add_option("MODEL|ID", options.subject,
                    "A model reference, or a snapshot's id or its beginning");
  verify.add_flag("--all", options.all, "Everything in the cache");
  verify
      .add_option_function<std::string>(
          "--rate",
          [&](const std::string& text) { options.rate = ParseRate("--rate", text, kMinimumRate); },
          "Read at most so many bytes a second, such as 100Mi; 0: as fast as possible (default: "
          "the daemon's scrub.verifyRate)")
      ->type_name("BYTES");
  verify.add_flag("-q,--quiet", options.quiet, "No progress");
  DescribeConfig(app, options);
  Add(app, "version", "Print the version of this program");
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

std::optional<Printout> CheckTogether(const Options& options) {
  bool verify = options.command == Command::kVerify;
  if (verify && options.subject.empty() != options.all) {
    return Mistake("verify: give a model or an id, or --all for everything");
  }
  bool evict = options.command == Command::kEvict;
  if (evict && options.subject.empty() != options.quarantine) {
    return Mistake("evict: give a model or an id, or --quarantine for the bad files that are kept");
  }
  if (!options.root && (!options.hf_endpoint.empty() || options.allow_plain_http)) {
    return Mistake(
        "--hf-endpoint and --allow-plain-http go with --root: with a daemon, its configuration "
        "counts");
  }
  if (!options.root && options.bandwidth_limit != 0) {
    return Mistake(
        "--bandwidth-limit goes with --root: with a daemon, fill.bandwidthLimit of its "
        "configuration counts");
  }
  if (options.root && options.root->empty()) return Mistake("--root is empty: give a directory");
  return std::nullopt;
}

}  // namespace

std::expected<Options, Printout> ParseOptions(int argc, const char* const* argv) {
  Options options;
  CLI::App app("weighhouse: the models in this node's cache");
  app.name("weighhouse");
  app.footer(kFooter);
  app.require_subcommand(0, 1);
  app.allow_extras();
  DescribeGlobal(app, options);
  DescribeCommands(app, options);
  std::string mistake;
  try {  // CLI11 speaks in exceptions
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return std::unexpected(Printout{app.help()});
  } catch (const CLI::CallForVersion&) {
    return std::unexpected(Printout{app.version() + "\n"});
  } catch (const CLI::ParseError& error) {
    mistake = error.what();
  }
  std::vector<CLI::App*> commands = app.get_subcommands();
  const CLI::App* command = commands.empty() ? nullptr : commands.front();
  std::vector<std::string> extras = app.remaining(true);
  if (!extras.empty()) return std::unexpected(Mistake(Unknown(app, command, extras.front())));
  if (!mistake.empty()) return std::unexpected(Mistake(mistake));
  if (!command) return std::unexpected(Printout{app.help(), kUsage});
  for (const auto& [id, name] : kCommands) {
    if (NameOf(command) == name) options.command = id;
  }
  if (std::optional<Printout> wrong = CheckTogether(options)) return std::unexpected(*wrong);
  return options;
}

}  // namespace weighhouse::cli
