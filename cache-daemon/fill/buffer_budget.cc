#include "cache-daemon/fill/buffer_budget.h"

#include <algorithm>

#include "base/error.h"

namespace weighhouse::fill {

BufferBudget::BufferBudget(size_t total, size_t max_files)
    : shared_total_(total - kGuaranteed * max_files) {
  CHECK(max_files > 0 && total >= (kGuaranteed + 1) * max_files);
}

BufferBudget::Kind BufferBudget::Take(Use& use, Place place, size_t active_files) {
  if (place == Place::kHead && use.guaranteed < kGuaranteed) {
    ++use.guaranteed;
    return Kind::kGuaranteed;
  }
  if (HasItsPart(use, active_files) || shared_used_ >= shared_total_) return Kind::kNone;
  ++use.shared;
  ++shared_used_;
  return Kind::kShared;
}

size_t BufferBudget::Part(size_t active_files) const {
  return std::max<size_t>(1, shared_total_ / std::max<size_t>(1, active_files));
}

void BufferBudget::GiveBack(Use& use, Kind kind) {
  if (kind == Kind::kGuaranteed) {
    CHECK(use.guaranteed > 0);
    --use.guaranteed;
  } else if (kind == Kind::kShared) {
    CHECK(use.shared > 0 && shared_used_ > 0);
    --use.shared;
    --shared_used_;
  }
}

}  // namespace weighhouse::fill
