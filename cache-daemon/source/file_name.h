#pragma once

#include <string_view>

#include "base/model.h"

namespace weighhouse::source {

/// Limits that a listing must keep (the Hub's own are lower: hub-docs, storage-limits.md).
constexpr size_t kMaxFiles = 100'000;
constexpr size_t kMaxPathBytes = 4096;      ///< PATH_MAX
constexpr size_t kMaxComponentBytes = 255;  ///< NAME_MAX of ext4 and xfs
constexpr Bytes kMaxFileBytes = Bytes{1} << 62;

/// Whether `path` may become a name below a tree: relative, `/`-separated, UTF-8, at most
/// kMaxPathBytes, each component 1 to kMaxComponentBytes, without `.`, `..`, backslashes and
/// control characters. Else kInvalidArgument that names the printable path and what is wrong with
/// it.
Result<> CheckPath(std::string_view path);

/// Whether `listing` can become a tree: 1 to kMaxFiles files, each with a good path and at most
/// kMaxFileBytes, no path twice, none both file and directory, the sum of sizes below kMaxFileBytes
/// too. Else kInvalidArgument.
Result<> CheckListing(const Listing& listing);

}  // namespace weighhouse::source
