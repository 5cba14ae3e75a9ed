#include "cache-daemon/engine/publish_waits.h"

#include <algorithm>
#include <utility>

namespace weighhouse {

bool PublishWait::Find(metrics::Lookup lookup) {
  MutexLock lock(mutex_);
  if (found_) return false;
  found_ = lookup;
  return true;
}

std::optional<metrics::Lookup> PublishWait::End() {
  MutexLock lock(mutex_);
  if (std::exchange(ended_, true)) return std::nullopt;
  return found_;
}

bool PublishWait::ended() const {
  MutexLock lock(mutex_);
  return ended_;
}

std::shared_ptr<PublishWait> PublishWaits::Enter(const std::string& lease_id,
                                                 PublishWait::Time now) {
  if (lease_id.empty()) return std::make_shared<PublishWait>(now);
  MutexLock lock(mutex_);
  std::erase_if(waits_, [&](const auto& wait) { return wait.second->since() + kLongest < now; });
  std::shared_ptr<PublishWait>& wait = waits_[lease_id];
  if (!wait) {
    wait = std::make_shared<PublishWait>(now);
  } else if (wait->ended()) {
    wait = std::make_shared<PublishWait>(now, wait->left_);
  }
  return wait;
}

void PublishWaits::Leave(const std::string& lease_id) {
  MutexLock lock(mutex_);
  auto wait = waits_.find(lease_id);
  if (wait != waits_.end()) {
    *wait->second->left_ = true;
    waits_.erase(wait);
  }
  refused_.erase(lease_id);
}

void PublishWaits::Say(const std::string& lease_id, const PublishWait& wait, Room room,
                       PublishWait::Time now) {
  if (lease_id.empty()) return;
  MutexLock lock(mutex_);
  if (*wait.left_) return;
  std::erase_if(refused_, [&](const auto& refused) { return refused.second + kRefusedFor < now; });
  if (room == Room::kRefused) {
    refused_[lease_id] = now;
  } else {
    refused_.erase(lease_id);
  }
}

size_t PublishWaits::RefusedForSpace(PublishWait::Time now) const {
  MutexLock lock(mutex_);
  return static_cast<size_t>(std::ranges::count_if(
      refused_, [&](const auto& refused) { return refused.second + kRefusedFor >= now; }));
}

}  // namespace weighhouse
