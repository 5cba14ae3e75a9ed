#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/log_format.h"

namespace weighhouse::agent {

/// The settings of `weighhouse agent`, from its flags.
struct Options {
  std::string watch_socket = "/run/weighhouse/watch.sock";
  std::string node_name;   ///< required; also NODE_NAME
  std::string api_server;  ///< also KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT
  std::string service_account = "/var/run/secrets/kubernetes.io/serviceaccount";
  /// At most; 0: taken off; unset: the node isn't touched. Also WEIGHHOUSE_NODE_LABELS.
  std::optional<size_t> node_labels;
  std::chrono::seconds update_interval{10};  ///< between two events of one stage of a pod
  std::chrono::seconds label_interval{60};
  std::string heartbeat;  ///< "": none
  bool probe = false;     ///< look at `heartbeat`, and end
  std::string log_level = "info";
  LogFormat log_format = LogFormat::kText;
};

/// What the command line asks for: to run with these options, or to end with `exit_code` (help, an
/// error; all told to the user already).
struct CommandLine {
  Options options;
  std::optional<int> exit_code;
};
/// `argv[0]` is "agent".
CommandLine ParseCommandLine(int argc, const char* const* argv);

/// Where the environment says that the API server is: `https://10.96.0.1:443`; "" if it doesn't.
std::string ApiServerOfEnvironment();

}  // namespace weighhouse::agent
