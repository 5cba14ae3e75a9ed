#include "csi/options.h"

#include <sys/un.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::csi {
namespace {

constexpr std::string_view kUnixScheme = "unix://";

/// Declares a flag that takes a duration such as 10s, 500ms or 2m.
void AddDuration(CLI::App& app, const std::string& flag, std::chrono::milliseconds& value,
                 const std::string& help) {
  std::map<std::string, int64_t> units = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
  auto* option = app.add_option_function<int64_t>(
      flag, [&value](int64_t count) { value = std::chrono::milliseconds(count); }, help);
  option->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::UNIT_REQUIRED))
      ->default_str(fmt::format("{}s", value.count() / 1000))
      ->type_name("DURATION");
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

}  // namespace

std::string Options::SocketPath() const {
  std::string_view path = endpoint;
  if (path.starts_with(kUnixScheme)) {
    path.remove_prefix(kUnixScheme.size());
  } else if (path.starts_with("unix:")) {
    path.remove_prefix(std::string_view("unix:").size());
  }
  return std::string(path);
}

CommandLine ParseCommandLine(int argc, char** argv) {
  CommandLine line;
  Options& options = line.options;
  CLI::App app("The CSI plugin of weighhouse: mounts models that weighhouse-cached keeps.");
  app.set_version_flag("--version", WEIGHHOUSE_VERSION);
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    line.exit_code = app.exit(error);
    return line;
  }
  Result<Options> checked = Validate(options);
  if (!checked) {
    fmt::print(stderr, "weighhouse-csi: {}\n", checked.error().message);
    line.exit_code = 2;
    return line;
  }
  line.options = *checked;
  return line;
}

Result<Options> Validate(Options options) {
  TRY(CheckEndpoint(options));
  TRY(CleanDirectoryFlag(options.kubelet_root, "--kubelet-root"));
  TRY(CleanDirectoryFlag(options.cache_root, "--cache-root"));
  TRY(CleanDirectoryFlag(options.daemon_socket, "--daemon-socket"));
  constexpr size_t kMaxNodeId = 192;  // CSI specification, NodeGetInfoResponse.node_id
  if (options.node_id.empty() || options.node_id.size() > kMaxNodeId ||
      Printable(options.node_id, kMaxNodeId) != options.node_id) {
    return Fail(Code::kInvalidArgument,
                fmt::format("--node-id `{}`: give the node's name, 1 to {} bytes (or NODE_NAME)",
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
