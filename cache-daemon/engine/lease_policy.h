#pragma once

#include <string>
#include <vector>

#include "cache-daemon/engine/engine.h"

namespace weighhouse {

/// What SyncLeases must change. Pure.
struct LeaseChanges {
  std::vector<std::string> drop;            ///< lease ids
  std::vector<SyncRequest::Live> recreate;  ///< mounts that no lease proves
};

/// A lease is dropped only if it is older than the epoch, has no mount, no publish in flight
/// **and** its pod's directory is gone: a waiting, racing or rebooting pod has no mount either. A
/// mount without a lease gets one.
LeaseChanges PlanLeaseChanges(const std::vector<store::LeaseRecord>& leases,
                              const SyncRequest& request);

}  // namespace weighhouse
