#include "cache-daemon/daemon/error_memory.h"

#include <algorithm>
#include <utility>

namespace weighhouse::daemon {

void ErrorMemory::Add(api::RecentError error) {
  if (error.message.size() > kLongest) error.message.resize(kLongest);
  error.times = 1;
  MutexLock lock(mutex_);
  auto same = std::ranges::find(errors_, error.message, &api::RecentError::message);
  if (same != errors_.end()) {
    error.times += same->times;
    errors_.erase(same);
  }
  if (errors_.size() == kMost) errors_.pop_front();
  errors_.push_back(std::move(error));
}

std::vector<api::RecentError> ErrorMemory::All() const {
  MutexLock lock(mutex_);
  return {errors_.begin(), errors_.end()};
}

}  // namespace weighhouse::daemon
