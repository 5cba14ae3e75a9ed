#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "cache-daemon/config/config.h"
#include "cache-daemon/engine/engine.h"

namespace weighhouse::daemon {

/// Where the cache root lies, or will lie.
struct Placement {
  Bytes filesystem_total = 0;
  /// Kubelet, its runtime or the node's system use the same filesystem, as far as can be seen from
  /// here.
  bool shared = true;
};

/// Compares the root's filesystem with those of what others keep: `/` (in a container the
/// runtime's), /etc/hosts (which kubelet mounts), and the directory of the configuration file (a
/// ConfigMap's is kubelet's).
Result<Placement> PlacementOf(const std::string& root, const std::string& config_file);

/// Whether two paths lie on one filesystem: one device; or, because an overlay shows the sizes of
/// what is below it but a device of its own, equal sizes in every respect.
bool OnOneFilesystem(const std::string& one, const std::string& other);

/// What the engine is opened with, or given anew.
EngineOptions ToEngineOptions(const config::Config& config, const Placement& placement);

/// What is allowed but will bring trouble, for log and status; nothing if nothing is.
std::optional<std::string> WarningAbout(const config::Config& config, const Placement& placement);

}  // namespace weighhouse::daemon
