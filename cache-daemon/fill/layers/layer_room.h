#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cache-daemon/store/store.h"

namespace weighhouse::fill {

/// Room for what layers unpack to, which nobody knows before: what they have packed is promised at
/// once, as the least that it takes, and more in steps, before it is written. It evicts for it, as
/// every fill does. One thread's.
class LayerRoom {
 public:
  /// `for_snapshot`: whose holds' room it is taken from first.
  LayerRoom(store::Store& store, std::string for_snapshot)
      : store_(store), for_snapshot_(std::move(for_snapshot)) {}

  /// Errors: Store::Reserve's.
  Result<> Begin(Bytes packed);
  /// Before a file of so many bytes is begun.
  Result<> Take(Bytes bytes);
  /// What is staged counts for itself from now on.
  void End();

 private:
  Result<> Promise(Bytes bytes);

  store::Store& store_;
  const std::string for_snapshot_;
  std::vector<store::Reservation> promises_;
  Bytes promised_ = 0;
  Bytes taken_ = 0;
};

}  // namespace weighhouse::fill
