#pragma once

#include <chrono>
#include <string>

#include "base/units.h"

namespace weighhouse::store {

/// Room that was promised to a volume until its first publish here: that of a snapshot, or bytes.
struct HoldRecord {
  std::string volume_id;
  std::string snapshot_id;          ///< empty: bytes only
  Bytes bytes = 0;                  ///< promised; of a snapshot all that its files take
  std::string model;                ///< for people
  std::string request_fingerprint;  ///< the same request again is idempotent
  std::chrono::system_clock::time_point taken;
  std::chrono::system_clock::time_point ends;
};

}  // namespace weighhouse::store
