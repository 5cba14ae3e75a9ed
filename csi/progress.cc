#include "csi/progress.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::csi {
namespace {

/// "12.1/32.4 GiB": both in the unit that suits the total.
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

/// Whole seconds: an estimate has no tenths.
std::string FormatTimeLeft(uint64_t seconds) {
  return seconds < 60 ? fmt::format("{} s", seconds)
                      : FormatDuration(std::chrono::seconds(seconds));
}

}  // namespace

std::string DescribeProgress(const std::string& model, const Progress& progress) {
  std::string text = fmt::format("filling {}: ", Printable(model, 300));
  Bytes done = std::min(progress.bytes_done, progress.bytes_total);
  if (progress.bytes_total == 0) {
    text += "asking the source what it holds";
  } else {
    double share = static_cast<double>(done) / static_cast<double>(progress.bytes_total);
    text += fmt::format("{} ({} %)", FormatShare(done, progress.bytes_total),
                        static_cast<int>(share * 100));
    if (progress.bytes_per_second > 0) {
      Bytes left = (progress.bytes_total - done) / progress.bytes_per_second;
      text +=
          fmt::format(", {}, {} left", FormatRate(static_cast<double>(progress.bytes_per_second)),
                      FormatTimeLeft(left));
    }
  }
  if (!progress.waiting_for.empty()) text += "; " + Printable(progress.waiting_for, 300);
  return text;
}

std::chrono::milliseconds HoldTime(std::chrono::milliseconds remaining,
                                   std::chrono::milliseconds margin,
                                   std::chrono::milliseconds limit) {
  return std::clamp(std::max(remaining - margin, remaining / 2), std::chrono::milliseconds(0),
                    limit);
}

}  // namespace weighhouse::csi
