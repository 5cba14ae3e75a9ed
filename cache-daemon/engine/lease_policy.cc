#include "cache-daemon/engine/lease_policy.h"

#include <map>
#include <set>

namespace weighhouse {

LeaseChanges PlanLeaseChanges(const std::vector<store::LeaseRecord>& leases,
                              const SyncRequest& request, const SnapshotOfTree& snapshot_of) {
  std::set<std::string> pods(request.pod_uids.begin(), request.pod_uids.end());
  std::set<std::string> publishing(request.publishing_lease_ids.begin(),
                                   request.publishing_lease_ids.end());
  std::map<std::string, const SyncRequest::Live*> unproven;
  for (const SyncRequest::Live& live : request.live) unproven[live.lease_id] = &live;
  LeaseChanges changes;
  for (const store::LeaseRecord& lease : leases) {
    auto live = unproven.find(lease.id);
    bool settled = lease.taken >= request.epoch || publishing.contains(lease.id);
    if (live == unproven.end()) {
      if (!settled && !pods.contains(lease.pod_uid)) changes.drop.push_back(lease.id);
      continue;
    }
    std::optional<std::string> mounted = snapshot_of(live->second->tree);
    if (settled || !mounted || *mounted == lease.snapshot_id) unproven.erase(live);
  }
  for (const auto& [id, live] : unproven) changes.recreate.push_back(*live);
  return changes;
}

}  // namespace weighhouse
