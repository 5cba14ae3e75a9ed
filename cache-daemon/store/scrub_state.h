#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/units.h"

namespace weighhouse::store {

/// How far the scrub is: the file `scrub`. It goes round the blobs in the order of their names, so
/// the one that it comes to next is the one that it read longest ago.
struct ScrubState {
  bool under_way = false;  ///< a pass
  std::string position;    ///< the last blob of the pass that was read, in hexadecimal; empty: none
  std::chrono::system_clock::time_point pass_begun;  ///< the last one; the epoch: none
  std::chrono::system_clock::time_point pass_ended;  ///< the last one that did; the epoch: none
  uint64_t day = 0;                                  ///< since the epoch
  Bytes read_today = 0;
  Bytes charged = 0;      ///< to the day's budget: with what earlier days read beyond theirs
  uint64_t failures = 0;  ///< bad blobs found since the cache was made

  bool operator==(const ScrubState&) const = default;
};

std::string ScrubStateToJson(const ScrubState& state);
/// kDataLoss says what is wrong.
Result<ScrubState> ParseScrubState(std::string_view json);

}  // namespace weighhouse::store
