#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "base/units.h"

namespace weighhouse::fill {

/// What the machine says of its memory.
struct MemoryFigures {
  Bytes total = 0;
  Bytes available = 0;                ///< MemAvailable: what can be had without swapping
  std::optional<Bytes> cgroup_limit;  ///< of this process' control group, or of one above it
};

enum class WarmDecision {
  kWarm,
  kNoRoom,   ///< it would push out what others use
  kLimited,  ///< page cache counts against the control group's limit, which would push it out again
};

/// Whether `bytes` of files may be read ahead into the page cache: only if a tenth of the memory
/// stays available.
WarmDecision MayWarm(Bytes bytes, const MemoryFigures& figures);

/// Reads /proc/meminfo and the limits of this process' control groups (version 2 or 1) below
/// `filesystem_root`, which is "" but in tests. kUnavailable: there is no /proc/meminfo to read.
Result<MemoryFigures> ReadMemoryFigures(const std::string& filesystem_root = "");

}  // namespace weighhouse::fill
