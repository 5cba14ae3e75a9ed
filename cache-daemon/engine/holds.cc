#include "cache-daemon/engine/holds.h"

#include <algorithm>
#include <utility>

namespace weighhouse {
namespace {

/// How often the volumes that are remembered are looked through.
constexpr std::chrono::hours kDay{24};

}  // namespace

Result<store::HoldRecord> Holds::Take(store::HoldRecord wanted) {
  wanted.taken = clock_.Now();
  {
    MutexLock lock(mutex_);
    wanted.ends = wanted.taken + timeout_;
  }
  store::HoldRecord taken = TRY(store_.TakeHold(wanted));
  WakeAfter(taken.ends - clock_.Now());
  return taken;
}

void Holds::SetTimeout(std::chrono::seconds timeout) {
  MutexLock lock(mutex_);
  timeout_ = timeout;
}

void Holds::EndThoseDue() {
  std::chrono::steady_clock::duration next = kDay;
  next = std::min(next, store_.DropEndedHolds().value_or(next));
  store_.ForgetOldVolumes();
  WakeAfter(next);
}

void Holds::WakeAfter(std::chrono::steady_clock::duration time) {
  // Timers count whole milliseconds: it would wake just before the end.
  time += std::chrono::milliseconds(1);
  Time when = clock_.Steady() + time;
  {
    MutexLock lock(mutex_);
    if (wakes_ && *wakes_ <= when) return;
    wakes_ = when;
  }
  run_after_(time, [weak = weak_from_this(), when] {
    if (std::shared_ptr<Holds> self = weak.lock()) self->Woke(when);
  });
}

void Holds::Woke(Time when) {
  {
    MutexLock lock(mutex_);
    // A sooner one was asked for since, and has done what this was for.
    if (wakes_ != when) return;
    wakes_.reset();
  }
  EndThoseDue();
}

}  // namespace weighhouse
