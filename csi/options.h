#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/log_format.h"

namespace weighhouse::csi {

/// The settings of weighhouse-csi, from its flags.
struct Options {
  std::string endpoint = "unix:///csi/csi.sock";  ///< where kubelet calls; also CSI_ENDPOINT
  std::string daemon_socket = "/run/weighhouse/node.sock";
  std::string node_id;  ///< required; also NODE_NAME
  std::string driver_name = "csi.weighhouse.dev";
  std::string kubelet_root = "/var/lib/kubelet";
  std::string cache_root = "/var/lib/weighhouse";
  /// A directory of the host's that is ours: the self-test's scratch space and the overlays' empty
  /// layer. Empty: `<kubelet root>/plugins/<driver name>`.
  std::string scratch_directory;
  /// How long before the caller's deadline a publish gives up waiting, and how long it waits at
  /// most (kubelet's deadline is two minutes and can't be set).
  std::chrono::milliseconds publish_margin{10'000};
  std::chrono::milliseconds publish_hold_limit{110'000};
  std::chrono::milliseconds reconcile_interval{60'000};
  /// The label of volumes where SELinux is on and the volume isn't readOnly.
  std::string selinux_context = "system_u:object_r:container_file_t:s0";
  std::string log_level = "info";  ///< trace, debug, info, warn or error
  LogFormat log_format = LogFormat::kText;

  /// `endpoint` without its scheme.
  std::string SocketPath() const;
};

/// What the command line asks for: to run with these options, or to end with `exit_code` (help,
/// version, an error; all told to the user already).
struct CommandLine {
  Options options;
  std::optional<int> exit_code;
};
CommandLine ParseCommandLine(int argc, char** argv);

/// Checks values against each other and brings paths to a clean form. kInvalidArgument names the
/// flag.
Result<Options> Validate(Options options);

}  // namespace weighhouse::csi
