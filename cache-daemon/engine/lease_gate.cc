#include "cache-daemon/engine/lease_gate.h"

namespace weighhouse {

std::shared_ptr<LeaseIntent> LeaseGate::Announce(const std::string& lease_id) {
  auto intent = std::make_shared<LeaseIntent>(LeaseIntent{.lease_id = lease_id});
  MutexLock lock(mutex_);
  intent->number = ++last_number_;
  std::erase_if(announced_, [](const auto& entry) { return entry.second.expired(); });
  announced_.emplace(lease_id, intent);
  return intent;
}

Result<> LeaseGate::Take(const LeaseIntent& intent, const store::LeaseRecord& lease) {
  MutexLock lock(mutex_);
  if (intent.released) {
    return Fail(Code::kCancelled, "the volume was released while its model was on its way");
  }
  TRY(store_.TakeLease(lease));
  takers_.insert_or_assign(lease.id, intent.number);
  return {};
}

Result<> LeaseGate::Undo(const LeaseIntent& intent) {
  MutexLock lock(mutex_);
  auto taker = takers_.find(intent.lease_id);
  if (taker != takers_.end() && taker->second > intent.number) return {};
  return ReleaseUpTo(intent.number, intent.lease_id);
}

Result<> LeaseGate::Release(const std::string& lease_id) {
  MutexLock lock(mutex_);
  return ReleaseUpTo(last_number_, lease_id);
}

Result<> LeaseGate::ReleaseUpTo(uint64_t latest, const std::string& lease_id) {
  auto [begin, end] = announced_.equal_range(lease_id);
  for (auto entry = begin; entry != end; ++entry) {
    std::shared_ptr<LeaseIntent> intent = entry->second.lock();
    if (intent && intent->number <= latest) intent->released = true;
  }
  // A comparison of mounts and leases takes seconds; what is older can't matter to one.
  constexpr std::chrono::minutes kRemembered{10};
  auto now = clock_.Now();
  std::erase_if(released_, [&](const auto& entry) { return entry.second + kRemembered < now; });
  released_.insert_or_assign(lease_id, now);
  takers_.erase(lease_id);
  return store_.DropLease(lease_id);
}

Result<> LeaseGate::Recreate(const store::LeaseRecord& lease,
                             std::chrono::system_clock::time_point epoch) {
  MutexLock lock(mutex_);
  auto released = released_.find(lease.id);
  if (released != released_.end() && released->second >= epoch) {
    return Fail(Code::kCancelled, "the volume was released meanwhile");
  }
  TRY(store_.TakeLeaseOfMount(lease));
  takers_.insert_or_assign(lease.id, ++last_number_);  // a mount proves it: no failure undoes it
  return {};
}

}  // namespace weighhouse
