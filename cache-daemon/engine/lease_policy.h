#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cache-daemon/engine/engine.h"

namespace weighhouse {

/// What SyncLeases must change. Pure.
struct LeaseChanges {
  std::vector<std::string> drop;            ///< lease ids
  std::vector<SyncRequest::Live> recreate;  ///< mounts that no lease proves, or one of another tree
};

/// The snapshot that a tree shows; nothing if there is no such tree.
using SnapshotOfTree = std::function<std::optional<std::string>(const std::string& tree)>;

/// A lease is dropped only if it is older than the epoch, has no mount, no publish in flight
/// **and** its pod's directory is gone: a waiting, racing or rebooting pod has no mount either. A
/// mount without a lease gets one, and so does a mount whose lease, older than the epoch and
/// without a publish in flight, is on another snapshot than the mounted tree's.
LeaseChanges PlanLeaseChanges(const std::vector<store::LeaseRecord>& leases,
                              const SyncRequest& request, const SnapshotOfTree& snapshot_of);

}  // namespace weighhouse
