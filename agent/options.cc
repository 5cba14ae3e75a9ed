#include "agent/options.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::agent {
namespace {

constexpr int kUsage = 2;
constexpr size_t kMostLabels = 64;
constexpr size_t kMostNodeNameBytes = 253;

void AddSeconds(CLI::App& app, const char* flag, std::chrono::seconds& value, const char* help) {
  app.add_option_function<int>(
         flag, [&value](int seconds) { value = std::chrono::seconds(seconds); }, help)
      ->check(CLI::Range(1, 3600))
      ->default_str(std::to_string(value.count()))
      ->type_name("SECONDS");
}

void Describe(CLI::App& app, Options& options) {
  app.option_defaults()->always_capture_default();
  app.add_option("--watch-socket", options.watch_socket, "Watch socket of weighhouse-cached")
      ->type_name("PATH");
  app.add_option("--node-name", options.node_name, "This node's name")
      ->envname("NODE_NAME")
      ->type_name("NAME");
  app.add_option("--api-server", options.api_server,
                 "https://host[:port] (default: KUBERNETES_SERVICE_HOST and "
                 "KUBERNETES_SERVICE_PORT)")
      ->type_name("URL");
  app.add_option("--service-account", options.service_account,
                 "Directory with the files token and ca.crt, both read anew when they change")
      ->type_name("DIR");
  app.add_option_function<size_t>(
         "--node-labels", [&](size_t most) { options.node_labels = most; },
         "Label the node with the COUNT most recently used models that are complete here; 0: take "
         "such labels off (default: leave the node alone)")
      ->check(CLI::Range(size_t{0}, kMostLabels))
      ->envname("WEIGHHOUSE_NODE_LABELS")
      ->type_name("COUNT");
  AddSeconds(app, "--update-interval", options.update_interval,
             "How often a pod's event tells progress; a change of its state is told at once");
  AddSeconds(app, "--label-interval", options.label_interval,
             "How often the node's labels follow the cache");
  app.add_option("--heartbeat", options.heartbeat, "A file to touch while all goes well")
      ->type_name("FILE");
  app.add_flag("--probe", options.probe,
               "Look at --heartbeat and exit: 0 if the agent goes round, 1 if it hangs");
  app.add_option("--log-level", options.log_level, "What goes to stderr")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
  auto set_format = [&options](const std::string& name) {
    options.log_format = name == "json" ? LogFormat::kJson : LogFormat::kText;
  };
  app.add_option_function<std::string>("--log-format", set_format, "How the lines look")
      ->check(CLI::IsMember({"text", "json"}))
      ->default_str("text");
}

CommandLine Mistake(std::string_view message) {
  fmt::print(stderr, "weighhouse agent: {}\n", message);
  return CommandLine{.options = {}, .exit_code = kUsage};
}

std::string UnknownArgument(const CLI::App& app, const std::string& given) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) names.push_back(option->get_name());
  std::vector<std::string_view> candidates(names.begin(), names.end());
  std::string_view nearest = Nearest(given.substr(0, given.find('=')), candidates);
  return nearest.empty()
             ? fmt::format("unknown argument '{}': see weighhouse agent --help", Printable(given))
             : fmt::format("unknown argument '{}': did you mean {}?", Printable(given), nearest);
}

/// What is wrong with the options together; "" if nothing is.
std::string FaultOf(const Options& options) {
  if (options.probe) {
    return options.heartbeat.empty() ? "--probe: give --heartbeat with the agent's file" : "";
  }
  bool good = !options.node_name.empty() && options.node_name.size() <= kMostNodeNameBytes &&
              Printable(options.node_name, kMostNodeNameBytes) == options.node_name;
  if (!good) {
    return fmt::format("--node-name '{}': give the node's name, 1 to {} bytes (or NODE_NAME)",
                       Printable(options.node_name, 80), kMostNodeNameBytes);
  }
  if (options.api_server.empty()) {
    return "--api-server: give the Kubernetes API's https:// URL; outside of a pod nothing tells "
           "it";
  }
  return "";
}

}  // namespace

std::string ApiServerOfEnvironment() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT_HTTPS");
  if (port == nullptr) port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || port == nullptr || *host == '\0') return "";
  bool ipv6 = std::string_view(host).contains(':');
  return fmt::format("https://{}{}{}:{}", ipv6 ? "[" : "", host, ipv6 ? "]" : "", port);
}

CommandLine ParseCommandLine(int argc, const char* const* argv) {
  Options options;
  CLI::App app(
      "Tells Kubernetes what weighhouse-cached does: events of pods that wait for a model, and, if "
      "asked to, labels of the node. Runs beside the daemon, with a service account.",
      "weighhouse agent");
  Describe(app, options);
  app.allow_extras();
  try {  // CLI11 speaks in exceptions
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return CommandLine{.options = {}, .exit_code = app.exit(help)};
  } catch (const CLI::ParseError& error) {
    return Mistake(error.what());
  }
  if (!app.remaining().empty()) return Mistake(UnknownArgument(app, app.remaining().front()));
  if (options.api_server.empty()) options.api_server = ApiServerOfEnvironment();
  std::string fault = FaultOf(options);
  if (!fault.empty()) return Mistake(fault);
  return CommandLine{.options = std::move(options), .exit_code = std::nullopt};
}

}  // namespace weighhouse::agent
