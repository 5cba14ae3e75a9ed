#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace weighhouse::cli {

/// What `doctor` is told beyond --socket, --root and --output.
struct DoctorOptions {
  static constexpr const char* kDefaultConfig = "/etc/weighhouse/config.yaml";
  static constexpr const char* kDefaultKubelet = "/var/lib/kubelet";

  std::optional<std::string> config;       ///< unset: kDefaultConfig, which may be absent
  std::optional<std::string> kubelet_dir;  ///< unset: kDefaultKubelet, which may be absent
  bool offline = false;                    ///< no source is asked
  std::optional<std::string> source;       ///< unset: the configuration's Hub
  /// Whom the daemon runs as; unset: as the daemon that answers says, else who asks (if not root),
  /// else the uid of deploy/daemonset.
  std::optional<uid_t> uid;
};

/// Declares the flags of `doctor`, which write to `options`.
void DescribeDoctor(CLI::App& command, DoctorOptions& options);

}  // namespace weighhouse::cli
