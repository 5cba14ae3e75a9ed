#include "cache-daemon/fill/layers/layer_room.h"

#include <algorithm>

namespace weighhouse::fill {
namespace {

constexpr Bytes kStep = 64 * kMiB;
constexpr Bytes kBlock = 4 * kKiB;  // disks give whole ones

}  // namespace

Result<> LayerRoom::Begin(Bytes packed) { return Promise(packed); }

Result<> LayerRoom::Take(Bytes bytes) {
  taken_ += (bytes + kBlock - 1) / kBlock * kBlock;
  if (taken_ <= promised_) return {};
  // A step ahead, so that small files don't ask each for itself; where that is too much, no more
  // than there must be.
  Bytes lacking = taken_ - promised_;
  Result<> ahead = Promise(std::max(lacking, kStep));
  if (ahead || lacking >= kStep) return ahead;
  return Promise(lacking);
}

void LayerRoom::End() { promises_.clear(); }

Result<> LayerRoom::Promise(Bytes bytes) {
  store::Reservation promise = TRY(store_.Reserve(bytes, for_snapshot_, {}));
  promises_.push_back(std::move(promise));
  promised_ += bytes;
  return {};
}

}  // namespace weighhouse::fill
