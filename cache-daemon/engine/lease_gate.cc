#include "cache-daemon/engine/lease_gate.h"

#include <utility>

#include <fmt/format.h>

namespace weighhouse {
namespace {

// Longer than the store takes for any operation on a lease.
constexpr std::chrono::seconds kPatience{60};
// A comparison of mounts and leases takes seconds; what is older can't matter to one.
constexpr std::chrono::minutes kRemembered{10};

}  // namespace

/// The right to be the only operation on a lease, until destroyed. Who has one takes no other.
/// Move-only.
class LeaseGate::Turn {
 public:
  static Result<Turn> Take(LeaseGate& gate, const std::string& lease_id) {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    MutexLock lock(gate.mutex_);
    while (gate.turns_.contains(lease_id)) {
      if (gate.turn_ended_.WaitUntil(lock, deadline) || !gate.turns_.contains(lease_id)) continue;
      return Fail(Code::kAborted,
                  fmt::format("lease {} is in another operation, try again", lease_id));
    }
    gate.turns_.insert(lease_id);
    return Turn(gate, lease_id);
  }
  Turn(Turn&& other) noexcept
      : gate_(std::exchange(other.gate_, nullptr)), lease_id_(std::move(other.lease_id_)) {}
  Turn& operator=(Turn&&) = delete;
  ~Turn() {
    if (gate_ == nullptr) return;
    {
      MutexLock lock(gate_->mutex_);
      gate_->turns_.erase(lease_id_);
    }
    gate_->turn_ended_.NotifyAll();
  }

 private:
  Turn(LeaseGate& gate, std::string lease_id) : gate_(&gate), lease_id_(std::move(lease_id)) {}
  LeaseGate* gate_;
  std::string lease_id_;
};

std::shared_ptr<LeaseIntent> LeaseGate::Announce(const std::string& lease_id) {
  auto intent = std::make_shared<LeaseIntent>(LeaseIntent{.lease_id = lease_id});
  MutexLock lock(mutex_);
  intent->number = ++last_number_;
  std::erase_if(announced_, [](const auto& entry) { return entry.second.expired(); });
  announced_.emplace(lease_id, intent);
  return intent;
}

Result<> LeaseGate::Take(const LeaseIntent& intent, const store::LeaseRecord& lease) {
  Turn turn = TRY(Turn::Take(*this, lease.id));
  {
    MutexLock lock(mutex_);
    if (intent.released) {
      return Fail(Code::kCancelled, "the volume was released while its model was on its way");
    }
  }
  TRY(store_.TakeLease(lease));
  MutexLock lock(mutex_);
  takers_.insert_or_assign(lease.id, intent.number);
  return {};
}

Result<> LeaseGate::Undo(const LeaseIntent& intent) {
  Turn turn = TRY(Turn::Take(*this, intent.lease_id));
  {
    MutexLock lock(mutex_);
    auto taker = takers_.find(intent.lease_id);
    if (taker != takers_.end() && taker->second > intent.number) return {};
    MarkReleased(intent.number, intent.lease_id);
  }
  return store_.DropLease(intent.lease_id);
}

Result<> LeaseGate::Release(const std::string& lease_id) {
  Turn turn = TRY(Turn::Take(*this, lease_id));
  {
    MutexLock lock(mutex_);
    MarkReleased(last_number_, lease_id);
  }
  return store_.DropLease(lease_id);
}

void LeaseGate::MarkReleased(uint64_t latest, const std::string& lease_id) {
  auto [begin, end] = announced_.equal_range(lease_id);
  for (auto entry = begin; entry != end; ++entry) {
    std::shared_ptr<LeaseIntent> intent = entry->second.lock();
    if (intent && intent->number <= latest) intent->released = true;
  }
  Time now = clock_.Now();
  ForgetOldReleases(now);
  released_.insert_or_assign(lease_id, now);
  releases_.emplace_back(now, lease_id);
  takers_.erase(lease_id);
}

void LeaseGate::ForgetOldReleases(Time now) {
  while (!releases_.empty() && releases_.front().first + kRemembered < now) {
    const auto& [when, lease_id] = releases_.front();
    auto found = released_.find(lease_id);
    // Else it was released again since.
    if (found != released_.end() && found->second == when) released_.erase(found);
    releases_.pop_front();
  }
}

Result<> LeaseGate::Recreate(const store::LeaseRecord& lease,
                             std::chrono::system_clock::time_point epoch) {
  Turn turn = TRY(Turn::Take(*this, lease.id));
  {
    MutexLock lock(mutex_);
    auto released = released_.find(lease.id);
    if (released != released_.end() && released->second >= epoch) {
      return Fail(Code::kCancelled, "the volume was released meanwhile");
    }
  }
  TRY(store_.TakeLeaseOfMount(lease));
  MutexLock lock(mutex_);
  takers_.insert_or_assign(lease.id, ++last_number_);  // a mount proves it: no failure undoes it
  return {};
}

}  // namespace weighhouse
