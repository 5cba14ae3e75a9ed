#include "csi/capacity.h"

#include <algorithm>

namespace weighhouse::csi {
namespace {

/// `bytes` as the wire has it, and never as much as where a model is cached.
int64_t Clamp(uint64_t bytes) {
  return static_cast<int64_t>(std::min(bytes, static_cast<uint64_t>(kAnySize - 1)));
}

}  // namespace

CapacityAnswer CapacityOfNode(const cache::v1::CapacityResponse& capacity) {
  return {.available = Clamp(capacity.available()), .maximum = std::nullopt};
}

CapacityAnswer CapacityForModel(const cache::v1::CapacityResponse& capacity, bool cached_only) {
  constexpr CapacityAnswer kNone{.available = 0, .maximum = 0};
  const cache::v1::ModelFit& fit = capacity.model();
  if (fit.cached()) return {.available = kAnySize, .maximum = kAnySize};
  if (cached_only) return kNone;
  if (fit.size() != cache::v1::ModelFit::SIZE_KNOWN) {
    int64_t available = Clamp(capacity.available());
    return {.available = available, .maximum = available};
  }
  if (!fit.fits()) return kNone;
  uint64_t present = fit.bytes() - std::min(fit.bytes(), fit.bytes_missing());
  auto available = static_cast<uint64_t>(Clamp(capacity.available()) + Clamp(present));
  return {.available = Clamp(available), .maximum = kAnySize};
}

}  // namespace weighhouse::csi
