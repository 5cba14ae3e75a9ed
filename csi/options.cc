#include "csi/options.h"

#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::csi {
namespace {

constexpr std::string_view kUnixScheme = "unix://";

/// The duration that `text` says, such as 10s, 500ms or 2m; nothing if it says none.
std::optional<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, int64_t>, 4> kUnits = {
      {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};
  constexpr int64_t kMost = 1'000'000'000;  // in any unit far beyond use, and far from overflow
  int64_t count = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count < 0 || count > kMost) return std::nullopt;
  std::string_view given(end, static_cast<size_t>(text.data() + text.size() - end));
  for (const auto& [unit, factor] : kUnits) {
    if (given == unit) return std::chrono::milliseconds(count * factor);
  }
  return std::nullopt;
}

/// What is wrong with `text` as a duration; "" if nothing is.
std::string DurationFault(const std::string& text) {
  if (ParseDuration(text)) return "";
  return fmt::format("'{}' is no duration: give a number and a unit, such as 500ms, 10s or 2m",
                     Printable(text, 40));
}

/// Declares a flag that takes a duration.
void AddDuration(CLI::App& app, const std::string& flag, std::chrono::milliseconds& value,
                 const std::string& help) {
  auto take = [&value](const std::string& text) { value = ParseDuration(text).value_or(value); };
  app.add_option_function<std::string>(flag, take, help)
      ->check(CLI::Validator(DurationFault, ""))
      ->default_str(fmt::format("{}s", value.count() / 1000))
      ->type_name("DURATION");
}

std::string UnknownArgument(const CLI::App& app, const std::string& given) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) names.push_back(option->get_name());
  std::vector<std::string_view> candidates(names.begin(), names.end());
  std::string_view nearest = Nearest(given.substr(0, given.find('=')), candidates);
  return nearest.empty()
             ? fmt::format("unknown argument '{}': see --help", Printable(given))
             : fmt::format("unknown argument '{}': did you mean {}?", Printable(given), nearest);
}

/// Absolute, without `.`, `..`, doubled or trailing slashes; "" if that can't be had.
std::string CleanPath(const std::string& path) {
  std::filesystem::path clean = std::filesystem::path(path).lexically_normal();
  std::string text = clean.string();
  if (text.size() > 1 && text.ends_with('/')) text.pop_back();
  bool good = text.starts_with('/') && !text.starts_with("//") && path.find('\0') == path.npos;
  return good ? text : "";
}

Result<> CleanDirectoryFlag(std::string& path, std::string_view flag) {
  std::string clean = CleanPath(path);
  if (clean.empty() || clean == "/") {
    return Fail(Code::kInvalidArgument,
                fmt::format("{} `{}`: must be an absolute path below /", flag, path));
  }
  path = clean;
  return {};
}

/// The CSIDriver name's rules: a lower-case DNS name of at most 63 characters with a letter at both
/// ends.
bool IsDriverName(std::string_view name) {
  auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  auto allowed = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return name.size() >= 2 && name.size() <= 63 && letter(name.front()) && letter(name.back()) &&
         std::ranges::all_of(name, allowed) && name.find("..") == name.npos;
}

Result<> CheckEndpoint(Options& options) {
  std::string path = CleanPath(options.SocketPath());
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("--endpoint `{}`: give unix:///absolute/path of at most {} bytes",
                            options.endpoint, sizeof(sockaddr_un::sun_path) - 1));
  }
  options.endpoint = fmt::format("{}{}", kUnixScheme, path);
  return {};
}

void Describe(CLI::App& app, Options& options) {
  app.set_version_flag("--version", "weighhouse-csi " WEIGHHOUSE_VERSION);
  app.option_defaults()->always_capture_default();
  app.add_option("--endpoint", options.endpoint, "unix socket that kubelet calls")
      ->envname("CSI_ENDPOINT");
  app.add_option("--daemon-socket", options.daemon_socket, "node socket of weighhouse-cached");
  app.add_option("--node-id", options.node_id, "this node's name")->envname("NODE_NAME");
  app.add_option("--driver-name", options.driver_name, "name of the CSIDriver object");
  app.add_option("--kubelet-root", options.kubelet_root, "kubelet's --root-dir");
  app.add_option("--cache-root", options.cache_root, "the cache as this process sees it");
  app.add_option("--scratch-dir", options.scratch_directory,
                 "directory of the host for the self-test and overlays (default: "
                 "<kubelet-root>/plugins/<driver-name>)");
  AddDuration(app, "--publish-margin", options.publish_margin,
              "answer a waiting publish this long before its deadline");
  AddDuration(app, "--publish-hold-limit", options.publish_hold_limit,
              "longest wait of one publish");
  AddDuration(app, "--reconcile-interval", options.reconcile_interval,
              "how often mounts and leases are compared");
  app.add_option("--selinux-context", options.selinux_context,
                 "label of volumes that aren't readOnly, where SELinux is on");
  app.add_option("--log-level", options.log_level, "what goes to stderr")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
  auto set_format = [&options](const std::string& name) {
    options.log_format = name == "json" ? LogFormat::kJson : LogFormat::kText;
  };
  app.add_option_function<std::string>("--log-format", set_format, "how the lines look")
      ->check(CLI::IsMember({"text", "json"}))
      ->default_str("text");
}

/// Ends the program over a mistake of its caller's.
CommandLine Mistake(std::string_view message) {
  fmt::print(stderr, "weighhouse-csi: {}\n", message);
  return CommandLine{.options = {}, .exit_code = 2};
}

}  // namespace

CommandLine ParseCommandLine(int argc, char** argv) {
  Options options;
  CLI::App app("The CSI plugin of weighhouse: mounts models that weighhouse-cached keeps.");
  Describe(app, options);
  app.allow_extras();
  try {  // CLI11 speaks in exceptions
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return CommandLine{.options = {}, .exit_code = app.exit(help_or_version)};
  } catch (const CLI::ParseError& error) {
    return Mistake(error.what());
  }
  if (!app.remaining().empty()) return Mistake(UnknownArgument(app, app.remaining().front()));
  Result<Options> checked = Validate(options);
  if (!checked) return Mistake(checked.error().message);
  return CommandLine{.options = std::move(*checked), .exit_code = std::nullopt};
}

std::string Options::SocketPath() const {
  std::string_view path = endpoint;
  if (path.starts_with(kUnixScheme)) {
    path.remove_prefix(kUnixScheme.size());
  } else if (path.starts_with("unix:")) {
    path.remove_prefix(std::string_view("unix:").size());
  }
  return std::string(path);
}

Result<Options> Validate(Options options) {
  TRY(CheckEndpoint(options));
  TRY(CleanDirectoryFlag(options.kubelet_root, "--kubelet-root"));
  TRY(CleanDirectoryFlag(options.cache_root, "--cache-root"));
  TRY(CleanDirectoryFlag(options.daemon_socket, "--daemon-socket"));
  constexpr size_t kMaxNodeId = 192;  // CSI specification, NodeGetInfoResponse.node_id
  if (options.node_id.empty() || options.node_id.size() > kMaxNodeId ||
      Printable(options.node_id, kMaxNodeId) != options.node_id || options.node_id.contains(' ')) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("--node-id `{}`: give the node's name, 1 to {} bytes without spaces (or "
                    "NODE_NAME)",
                    Printable(options.node_id, 80), kMaxNodeId));
  }
  if (!IsDriverName(options.driver_name)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("--driver-name `{}`: must be a lower-case DNS name of at most 63 "
                            "characters that starts and ends with a letter",
                            Printable(options.driver_name, 80)));
  }
  if (options.scratch_directory.empty()) {
    options.scratch_directory = options.kubelet_root + "/plugins/" + options.driver_name;
  }
  TRY(CleanDirectoryFlag(options.scratch_directory, "--scratch-dir"));
  if (options.publish_hold_limit.count() <= 0 || options.publish_margin.count() < 0 ||
      options.reconcile_interval.count() <= 0) {
    return Fail(Code::kInvalidArgument,
                "--publish-hold-limit and --reconcile-interval must be above zero, "
                "--publish-margin not below it");
  }
  return options;
}

}  // namespace weighhouse::csi
