#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace weighhouse::scale {

using Milliseconds = std::chrono::duration<double, std::milli>;

/// The smallest value that at least `share` of `sorted` (ascending, not empty) don't exceed.
inline double Quantile(const std::vector<Milliseconds>& sorted, double share) {
  auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<size_t>(rank, 1) - 1].count();
}

/// `"calls": …, "p50_ms": …, "p99_ms": …, "max_ms": …`: the members of a JSON object. `took` is
/// not empty.
inline std::string Summary(std::vector<Milliseconds> took) {
  std::ranges::sort(took);
  return fmt::format(R"("calls": {}, "p50_ms": {:.3f}, "p99_ms": {:.3f}, "max_ms": {:.3f})",
                     took.size(), Quantile(took, 0.5), Quantile(took, 0.99), took.back().count());
}

}  // namespace weighhouse::scale
