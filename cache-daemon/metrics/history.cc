#include "cache-daemon/metrics/history.h"

#include <algorithm>

namespace weighhouse::metrics {

uint64_t History::StepNow() const {
  return static_cast<uint64_t>((clock_.Steady() - start_) / kStep);
}

void History::Add(Bytes bytes) {
  uint64_t now = StepNow();
  MutexLock lock(mutex_);
  // What is written over is more than a day old. (Another thread may have been a step ahead.)
  uint64_t stale = std::min<uint64_t>(now > newest_ ? now - newest_ : 0, kSteps);
  for (uint64_t i = 0; i < stale; ++i) ring_[(now - i) % kSteps] = {};
  newest_ = std::max(newest_, now);
  Step& step = ring_[newest_ % kSteps];
  ++step.events;
  step.bytes += bytes;
}

History::View History::Lately() const {
  uint64_t now = StepNow();
  uint64_t first = now < kSteps ? 0 : now - kSteps + 1;
  // From what has passed since: the wall clock may have been set meanwhile.
  auto age = clock_.Steady() - (start_ + first * kStep);
  View view{.begins = clock_.Now() -
                      std::chrono::duration_cast<std::chrono::system_clock::duration>(age)};
  MutexLock lock(mutex_);
  for (uint64_t step = first; step <= now; ++step) {
    bool known = step <= newest_ && newest_ - step < kSteps;
    view.steps.push_back(known ? ring_[step % kSteps] : Step{});
  }
  return view;
}

}  // namespace weighhouse::metrics
