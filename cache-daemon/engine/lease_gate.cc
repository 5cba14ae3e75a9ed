#include "cache-daemon/engine/lease_gate.h"

namespace weighhouse {

std::shared_ptr<LeaseIntent> LeaseGate::Announce(const std::string& lease_id) {
  auto intent = std::make_shared<LeaseIntent>(LeaseIntent{.lease_id = lease_id});
  MutexLock lock(mutex_);
  std::erase_if(announced_, [](const auto& entry) { return entry.second.expired(); });
  announced_.emplace(lease_id, intent);
  return intent;
}

Result<> LeaseGate::Take(const LeaseIntent& intent, const store::LeaseRecord& lease) {
  MutexLock lock(mutex_);
  if (intent.released) {
    return Fail(Code::kCancelled, "the volume was released while its model was on its way");
  }
  return store_.TakeLease(lease);
}

Result<> LeaseGate::Release(const std::string& lease_id) {
  MutexLock lock(mutex_);
  auto [begin, end] = announced_.equal_range(lease_id);
  for (auto entry = begin; entry != end; ++entry) {
    if (std::shared_ptr<LeaseIntent> intent = entry->second.lock()) intent->released = true;
  }
  // A comparison of mounts and leases takes seconds; what is older can't matter to one.
  constexpr std::chrono::minutes kRemembered{10};
  auto now = clock_.Now();
  std::erase_if(released_, [&](const auto& entry) { return entry.second + kRemembered < now; });
  released_.insert_or_assign(lease_id, now);
  return store_.DropLease(lease_id);
}

Result<> LeaseGate::Recreate(const store::LeaseRecord& lease,
                             std::chrono::system_clock::time_point epoch) {
  MutexLock lock(mutex_);
  auto released = released_.find(lease.id);
  if (released != released_.end() && released->second >= epoch) {
    return Fail(Code::kCancelled, "the volume was released meanwhile");
  }
  return store_.TakeLease(lease);
}

}  // namespace weighhouse
