#include "cache-daemon/engine/lease_policy.h"

#include <set>

namespace weighhouse {

LeaseChanges PlanLeaseChanges(const std::vector<store::LeaseRecord>& leases,
                              const SyncRequest& request) {
  std::set<std::string> pods(request.pod_uids.begin(), request.pod_uids.end());
  std::set<std::string> kept(request.publishing_lease_ids.begin(),
                             request.publishing_lease_ids.end());
  std::set<std::string> known;
  for (const SyncRequest::Live& live : request.live) kept.insert(live.lease_id);
  LeaseChanges changes;
  for (const store::LeaseRecord& lease : leases) {
    known.insert(lease.id);
    bool pod_gone = !pods.contains(lease.pod_uid);
    if (lease.taken < request.epoch && !kept.contains(lease.id) && pod_gone) {
      changes.drop.push_back(lease.id);
    }
  }
  for (const SyncRequest::Live& live : request.live) {
    if (!known.contains(live.lease_id)) changes.recreate.push_back(live);
  }
  return changes;
}

}  // namespace weighhouse
