#include "cache-daemon/source/loop_choice.h"

#include <algorithm>
#include <tuple>

namespace weighhouse::source {
namespace {

constexpr size_t kMostAutomaticLoops = 8;

}  // namespace

size_t AutomaticLoops(size_t hardware_threads) {
  return std::clamp<size_t>(hardware_threads, 2, kMostAutomaticLoops + 1) - 1;
}

size_t ChooseLoop(std::span<const LoopLoad> loads, const LoopLimits& limits) {
  auto busy = [&](const LoopLoad& load) { return load.busy >= limits.busy_part; };
  auto index = [&](auto found) { return static_cast<size_t>(found - loads.begin()); };
  if (std::ranges::none_of(loads, busy)) {
    auto keeps = std::ranges::find(loads, true, &LoopLoad::keeps_connection);
    return keeps == loads.end() ? 0 : index(keeps);
  }
  if (loads.size() < limits.most && std::ranges::all_of(loads, busy)) return loads.size();
  auto cost = [](const LoopLoad& load) {
    return std::tuple(load.transfers, !load.keeps_connection);
  };
  return index(std::ranges::min_element(loads, {}, cost));
}

}  // namespace weighhouse::source
