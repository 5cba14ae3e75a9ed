#include "cache-daemon/store/recent_evictions.h"

namespace weighhouse::store {

void RecentEvictions::Add(const Digest& sha256, Reason reason, Time now) {
  while (!oldest_first_.empty() && now - oldest_first_.front().when >= kRecent) ForgetOldest();
  if (oldest_first_.size() == kMost) ForgetOldest();
  evictions_[sha256] = {.when = now, .reason = reason};
  oldest_first_.push_back({.sha256 = sha256, .when = now});
}

std::optional<RecentEvictions::Reason> RecentEvictions::Take(const Digest& sha256, Time now) {
  auto found = evictions_.find(sha256);
  if (found == evictions_.end()) return std::nullopt;
  Eviction eviction = found->second;
  evictions_.erase(found);
  if (now - eviction.when >= kRecent) return std::nullopt;
  return eviction.reason;
}

void RecentEvictions::ForgetOldest() {
  const Entry& oldest = oldest_first_.front();
  auto found = evictions_.find(oldest.sha256);
  // Of another time: it came back and was evicted once more, which is remembered further on.
  if (found != evictions_.end() && found->second.when == oldest.when) evictions_.erase(found);
  oldest_first_.pop_front();
}

}  // namespace weighhouse::store
