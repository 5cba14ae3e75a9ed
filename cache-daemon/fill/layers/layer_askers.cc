#include "cache-daemon/fill/layers/layer_askers.h"

#include <algorithm>
#include <utility>

namespace weighhouse::fill {

store::LayerOrigin OriginOf(const LayerRequest& request) {
  return {.origin = request.listing.origin, .anonymous = request.listing.anonymous};
}

LayerAskers::LayerAskers(LayerAsker first) : origin_(OriginOf(first.request)) {
  askers_.push_back(std::make_shared<const LayerAsker>(std::move(first)));
}

bool LayerAskers::Join(LayerAsker& asker) {
  store::LayerOrigin origin = OriginOf(asker.request);
  if (origin.origin != origin_.origin || origin.anonymous != origin_.anonymous) return false;
  MutexLock lock(mutex_);
  if (closed_) return false;
  askers_.push_back(std::make_shared<const LayerAsker>(std::move(asker)));
  return true;
}

LayerAskers::Asker LayerAskers::First() const {
  MutexLock lock(mutex_);
  return askers_.front();
}

std::vector<LayerAskers::Asker> LayerAskers::All() const {
  MutexLock lock(mutex_);
  return {askers_.begin(), askers_.end()};
}

LayerAskers::Asker LayerAskers::DropFirst() {
  MutexLock lock(mutex_);
  closed_ = closed_ || askers_.size() == 1;
  if (closed_) return nullptr;
  Asker first = std::move(askers_.front());
  askers_.pop_front();
  return first;
}

std::vector<LayerAskers::Asker> LayerAskers::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
  return {askers_.begin(), askers_.end()};
}

FillPriority LayerAskers::priority() const {
  MutexLock lock(mutex_);
  bool awaited = std::ranges::any_of(askers_, [](const Asker& asker) {
    return asker->request.priority == FillPriority::kWaitedFor;
  });
  return awaited ? FillPriority::kWaitedFor : FillPriority::kPrefetch;
}

}  // namespace weighhouse::fill
