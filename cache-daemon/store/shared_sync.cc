#include "cache-daemon/store/shared_sync.h"

#include <chrono>

#include <fmt/format.h>

namespace weighhouse::store {
namespace {

// Longer than a disk that still answers takes.
constexpr std::chrono::seconds kPatience{60};

}  // namespace

Result<> SharedSync::Run() {
  std::shared_ptr<Round> round;
  {
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    MutexLock lock(mutex_);
    if (!next_) next_ = std::make_shared<Round>();
    round = next_;
    // One that runs may have begun before the caller's change.
    while (running_ && !round->outcome) {
      if (ended_.WaitUntil(lock, deadline) || !running_ || round->outcome) continue;
      return Fail(Code::kUnavailable, fmt::format("the sync of {} doesn't end", directory_));
    }
    if (round->outcome) return *round->outcome;
    running_ = true;
    next_ = nullptr;
  }
  Result<> outcome = filesystem_.SyncDirectory(directory_);
  {
    MutexLock lock(mutex_);
    round->outcome = outcome;
    running_ = false;
  }
  ended_.NotifyAll();
  return outcome;
}

}  // namespace weighhouse::store
