#pragma once

#include <cstddef>
#include <span>

namespace weighhouse::source {

struct LoopLoad {
  double busy = 0;  ///< part of the last quarter of a second
  size_t transfers = 0;
  bool keeps_connection = false;  ///< an idle one to the host in question
};

struct LoopLimits {
  size_t most = 1;
  double busy_part = 0.75;  ///< a loop that is busy for more than this needs help
};

/// How many loops there may be where nobody says so: one thread is left to the hashers.
size_t AutomaticLoops(size_t hardware_threads);

/// Which of `loads` (≥ 1) carries a new transfer; their number: a loop that is to be begun. While
/// none is busy, the first one, or the first that can reuse a connection: other loops sleep. Once
/// one is busy, the one with the fewest transfers: what a loop is about to have to do shows in
/// their number before it shows in its load.
size_t ChooseLoop(std::span<const LoopLoad> loads, const LoopLimits& limits);

}  // namespace weighhouse::source
