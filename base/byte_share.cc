#include "base/byte_share.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace weighhouse {

std::string FormatShare(Bytes done, Bytes total) {
  constexpr std::array<std::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  double divisor = 1;
  while (static_cast<double>(total) / divisor >= 1024 && unit + 1 < kUnits.size()) {
    divisor *= 1024;
    ++unit;
  }
  int digits = unit == 0 ? 0 : 1;
  return fmt::format("{:.{}f}/{:.{}f} {}", static_cast<double>(done) / divisor, digits,
                     static_cast<double>(total) / divisor, digits, kUnits[unit]);
}

int PerCent(Bytes done, Bytes total) {
  if (total == 0) return 0;
  double share = static_cast<double>(std::min(done, total)) / static_cast<double>(total);
  return static_cast<int>(share * 100);
}

std::string FormatTimeLeft(uint64_t seconds) {
  constexpr uint64_t kMost = 1'000'000'000;  // in any unit far beyond use, and far from overflow
  seconds = std::min(seconds, kMost);
  return seconds < 60 ? fmt::format("{} s", seconds)
                      : FormatDuration(std::chrono::seconds(seconds));
}

}  // namespace weighhouse
