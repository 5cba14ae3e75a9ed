#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/units.h"

namespace weighhouse::csi {

/// How far a fill is, as the daemon told last.
struct Progress {
  Bytes bytes_done = 0;
  Bytes bytes_total = 0;          ///< 0: not known yet
  uint64_t bytes_per_second = 0;  ///< 0: not known yet
  std::string waiting_for;        ///< why nothing moves; usually empty
};

/// One line for the pod's event: `filling hf://a/b@main: 12.1/32.4 GiB (37 %), 1.2 GiB/s, 17 s
/// left`.
std::string DescribeProgress(const std::string& model, const Progress& progress);

/// How long a publish may wait for its fill, given what remains of the caller's deadline: up to
/// `margin` before it, but at least half of what remains (a caller with a short deadline must not
/// be turned away at once), and at most `limit`.
std::chrono::milliseconds HoldTime(std::chrono::milliseconds remaining,
                                   std::chrono::milliseconds margin,
                                   std::chrono::milliseconds limit);

}  // namespace weighhouse::csi
