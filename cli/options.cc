#include "cli/options.h"

#include <array>
#include <functional>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "base/volume_limits.h"
#include "cli/exit_code.h"
#include "cli/object_name.h"

namespace weighhouse::cli {
namespace {

/// As fill.bandwidthLimit.
constexpr Bytes kMinimumBandwidth = 64 * kKiB;

/// A piece that is read is of 4 MiB.
constexpr Bytes kMinimumRate = kMiB;

void CheckScratchSize(Bytes bytes) {
  constexpr Bytes kLeast = volume_limits::kMinScratchSize, kMost = volume_limits::kMaxScratchSize;
  if (bytes >= kLeast && bytes <= kMost) return;
  throw CLI::ValidationError("--scratch-size",
                             fmt::format("give {}Mi to {}Gi", kLeast / kMiB, kMost / kGiB));
}

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
    std::pair(Command::kStorageClass, std::string_view("storageclass")),
    std::pair(Command::kConfigCheck, std::string_view("config check")),
    std::pair(Command::kConfigKeys, std::string_view("config keys")),
    std::pair(Command::kModelId, std::string_view("model-id")),
    std::pair(Command::kAgent, std::string_view("agent")),
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
               "With --root: let sources be asked over plain http elsewhere than on this host");
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
      .add_option(
          "MODEL", options.subject,
          "hf://org/name[@revision], modelscope://org/name[@revision], "
          "oci://registry/repository[:tag|@digest], s3://bucket/prefix, gs://bucket/prefix, "
          "https://host/path/file[#sha256=hex], https://host/directory-with-SHA256SUMS/, "
          "https://host/list.json#manifest or file:///path")
      ->required();
  command.add_option("--revision", options.revision,
                     "Branch, tag, refs/pr/N or commit; of oci:// a tag or digest");
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
                  "A file with an access token (default: the environment's HF_TOKEN, or "
                  "MODELSCOPE_API_TOKEN or HTTP_TOKEN, as the model's source wants); for oci:// a "
                  "Docker config.json with the registry's login")
      ->type_name("FILE");
}

void DescribeLayout(CLI::App& command, Options& options) {
  command
      .add_option_function<std::string>(
          "--layout",
          [&](const std::string& name) {
            options.layout = name == "hub" ? Layout::kHub : Layout::kFiles;
          },
          "files (default): the model's files; hub: a Hugging Face cache directory")
      ->type_name("LAYOUT")
      ->check(CLI::IsMember({"files", "hub"}).description(""));
}

/// A flag that takes a size and keeps its text too.
void AddSize(CLI::App& command, const char* flag, const char* meaning,
             std::function<void(const std::string&, Bytes)> take) {
  command
      .add_option_function<std::string>(
          flag,
          [flag, take = std::move(take)](const std::string& text) {
            Result<Bytes> bytes = ParseBytes(text);
            if (!bytes) throw CLI::ValidationError(flag, bytes.error().message);
            if (*bytes == 0) throw CLI::ValidationError(flag, "give more than 0 bytes");
            take(text, *bytes);
          },
          meaning)
      ->type_name("BYTES");
}

void DescribeStorageClass(CLI::App& app, Options& options) {
  CLI::App& command = Add(app, "storageclass",
                          "Print a StorageClass for a model, a claim of the right size, and the "
                          "capacity that cluster-autoscaler needs, for kubectl apply -f -");
  ClaimOptions& claim = options.claim;
  DescribeModel(command, options);
  DescribeLayout(command, options);
  command
      .add_option_function<std::string>(
          "--access", [&](const std::string& name) { claim.scratch = name == "scratch"; },
          "readOnly (default), or scratch: each pod may write for itself, and its writes vanish "
          "with it")
      ->type_name("ACCESS")
      ->check(CLI::IsMember({"readOnly", "scratch"}).description(""));
  AddSize(command, "--scratch-size", "With --access scratch: what a pod may write, such as 2Gi",
          [&](const std::string& text, Bytes bytes) {
            CheckScratchSize(bytes);
            claim.scratch_size = text;
          });
  command.add_flag("--cached-only", claim.cached_only, "Only on nodes that have the model already");
  command
      .add_option(
          "--placement", claim.placement,
          "Where pods of a single-node claim may run: node (default), where it was made, or "
          "any")
      ->type_name("PLACEMENT")
      ->check(CLI::IsMember({"node", "any"}).description(""));
  command.add_option("--name", claim.name, "Of class and claim (default: made of the model's)");
  command.add_option("--namespace", claim.namespace_, "The claim's")->capture_default_str();
  command
      .add_option("--access-mode", claim.access_mode,
                  "The claim's (default: ReadOnlyMany, with --access scratch ReadWriteMany)")
      ->type_name("MODE")
      ->check(CLI::IsMember({"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"})
                  .description(""));
  AddSize(
      command, "--limit",
      "What an empty node takes that cluster-autoscaler may add, such as 900Gi (default: as the "
      "cache that is asked, within its cache.limit and its filesystem)",
      [&](const std::string&, Bytes bytes) { claim.limit = bytes; });
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
  DescribeLayout(pull, options);
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
  DescribeStorageClass(app, options);
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
  Add(app, "model-id", "Print the id that stands for a model in the labels of nodes that have it")
      .add_option("MODEL", options.subject, "A model reference, as a volume names it")
      ->required();
  Add(app, "agent", "Tell Kubernetes what the daemon does: see weighhouse agent --help");
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

/// What is wrong with what storageclass was told, if anything.
std::optional<std::string> WrongClaim(const ClaimOptions& claim) {
  if (!claim.scratch_size.empty() && !claim.scratch)
    return "--scratch-size goes with --access scratch";
  if (claim.scratch && claim.access_mode == "ReadOnlyMany")
    return "--access scratch needs an --access-mode that writes: ReadWriteMany or ReadWriteOnce";
  if (claim.cached_only && claim.limit)
    return "--limit says what an empty node takes, and --cached-only keeps pods off those";
  if (!claim.name.empty() && !IsObjectName(claim.name)) {
    return fmt::format("--name '{}' is no name for Kubernetes: {}", Printable(claim.name),
                       kObjectNameForm);
  }
  if (!IsNamespaceName(claim.namespace_)) {
    return fmt::format("--namespace '{}' is no namespace's name: {}", Printable(claim.namespace_),
                       kNamespaceNameForm);
  }
  return std::nullopt;
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
  if (std::optional<std::string> wrong = WrongClaim(options.claim))
    return Mistake("storageclass: " + *wrong);
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
