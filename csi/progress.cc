#include "csi/progress.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/byte_share.h"
#include "base/text.h"

namespace weighhouse::csi {
std::string DescribeProgress(const std::string& model, const Progress& progress) {
  std::string text = fmt::format("filling {}: ", Printable(model, 300));
  Bytes done = std::min(progress.bytes_done, progress.bytes_total);
  if (progress.bytes_total == 0) {
    text += "asking the source what it holds";
  } else {
    text += fmt::format("{} ({} %)", FormatShare(done, progress.bytes_total),
                        PerCent(done, progress.bytes_total));
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
