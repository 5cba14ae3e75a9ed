#pragma once

#include <chrono>
#include <string>

#include "base/units.h"

namespace weighhouse::store {

/// What CreateVolume answered for a volume: the same request again is answered the same.
struct VolumeRecord {
  std::string volume_id;
  std::string request_digest;  ///< 64 hex digits, of all that was asked for
  std::string model;           ///< for people
  /// What the model was resolved to; or empty, also where its caller was not seen to have the right
  /// to it.
  std::string commit;
  Bytes model_bytes = 0;  ///< the sum of its files; 0: not known
  Bytes capacity_bytes = 0;
  std::chrono::system_clock::time_point created;
};

}  // namespace weighhouse::store
