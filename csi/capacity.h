#pragma once

#include <cstdint>
#include <optional>

#include "proto/cache.pb.h"

namespace weighhouse::csi {

/// What GetCapacity answers. A value.
struct CapacityAnswer {
  int64_t available = 0;           ///< bytes; what the scheduler scores by
  std::optional<int64_t> maximum;  ///< bytes; what it compares a claim with; unset: as `available`
};

/// More than any claim asks for: says that the claim's size doesn't matter.
inline constexpr int64_t kAnySize = int64_t{1} << 60;

/// The answer for no model in particular.
CapacityAnswer CapacityOfNode(const cache::v1::CapacityResponse& capacity);

/// The answer for the model that the daemon was asked about. Where it fits, a claim of any size
/// fits, for a claim's size isn't the model's; where it is here, there is most room of all, so that
/// the scheduler prefers the node; where its size isn't known, CreateVolume would hold the claim's
/// size. Agrees with how CreateVolume would end.
CapacityAnswer CapacityForModel(const cache::v1::CapacityResponse& capacity, bool cached_only);

}  // namespace weighhouse::csi
