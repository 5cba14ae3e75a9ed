#include "base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse {
namespace {

struct Suffix {
  std::string_view name;
  double factor;
};
constexpr std::array<Suffix, 10> kSuffixes = {{{"Ki", 0x1p10},
                                               {"Mi", 0x1p20},
                                               {"Gi", 0x1p30},
                                               {"Ti", 0x1p40},
                                               {"Pi", 0x1p50},
                                               {"k", 1e3},
                                               {"M", 1e6},
                                               {"G", 1e9},
                                               {"T", 1e12},
                                               {"P", 1e15}}};

std::string Scaled(double value, std::string_view tail) {
  constexpr std::array<std::string_view, 6> kNames = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}{}", value, unit == 0 ? 0 : 1, kNames[unit], tail);
}

}  // namespace

std::string FormatBytes(Bytes bytes) { return Scaled(static_cast<double>(bytes), ""); }

std::string FormatRate(double bytes_per_second) { return Scaled(bytes_per_second, "/s"); }

std::string FormatDuration(std::chrono::milliseconds duration) {
  int64_t ms = duration.count();
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 10000) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  int64_t seconds = ms / 1000;
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

Result<Bytes> ParseBytes(std::string_view text) {
  double factor = 1;
  std::string_view number = text;
  for (const Suffix& suffix : kSuffixes) {
    if (!text.ends_with(suffix.name)) continue;
    factor = suffix.factor;
    number.remove_suffix(suffix.name.size());
    break;
  }
  // from_chars also reads "inf", "nan" and a sign.
  bool plain = !number.empty() && number.find_first_not_of("0123456789.") == std::string_view::npos;
  double value = 0;
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value,
                                      std::chars_format::fixed);
  bool whole = error == std::errc() && end == number.data() + number.size();
  if (!plain || !whole || value * factor >= 0x1p63) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("'{}' is not a size: give bytes, or a number with k, M, G, T, P, Ki, Mi, "
                    "Gi, Ti or Pi, such as 500Gi",
                    Printable(text)));
  }
  return static_cast<Bytes>(std::llround(value * factor));
}

}  // namespace weighhouse
