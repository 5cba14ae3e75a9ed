#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/error.h"

namespace weighhouse {

/// A number of bytes. Never negative.
using Bytes = uint64_t;

constexpr Bytes kKiB = 1024;
constexpr Bytes kMiB = 1024 * kKiB;
constexpr Bytes kGiB = 1024 * kMiB;

/// A half-open range of byte positions [begin, end) in a file.
struct ByteRange {
  Bytes begin = 0;
  Bytes end = 0;
  Bytes size() const { return end - begin; }
  auto operator<=>(const ByteRange&) const = default;
};

/// "12.1 GiB", "512 B": binary prefixes, one decimal.
std::string FormatBytes(Bytes bytes);

/// "1.2 GiB/s".
std::string FormatRate(double bytes_per_second);

/// "17 s", "2 min 5 s", "1 h 3 min", "350 ms".
std::string FormatDuration(std::chrono::milliseconds duration);

/// Reads "500Gi", "1.5T", "1073741824": Kubernetes' quantity suffixes (k, M, G, T, P and Ki, Mi,
/// Gi, Ti, Pi), bytes without one. kInvalidArgument says the text and what is allowed.
Result<Bytes> ParseBytes(std::string_view text);

}  // namespace weighhouse
