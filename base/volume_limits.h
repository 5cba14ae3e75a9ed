#pragma once

#include <cstddef>
#include <string_view>

#include "base/units.h"

/// What a volume's parameters may be: the plugin takes no more, and what writes a StorageClass must
/// not write more.
namespace weighhouse::volume_limits {

inline constexpr size_t kMaxPatterns = 64;  ///< in each list
inline constexpr size_t kMaxPatternBytes = 256;

inline constexpr Bytes kMinScratchSize = kMiB;
inline constexpr Bytes kMaxScratchSize = 1024 * kGiB;

/// What CreateVolume adds to a class's parameters: this key, with a git commit's 40 digits, or with
/// `sha256:` and 64.
inline constexpr std::string_view kCommitKey = "commit";
inline constexpr size_t kCommitBytes = kCommitKey.size() + 71;

/// Of all keys and values of a volume together: the contract's limit for a map (CSI specification,
/// "Size Limits").
inline constexpr size_t kMaxAttributeBytes = 4096;
/// Of a StorageClass's.
inline constexpr size_t kMaxClassBytes = kMaxAttributeBytes - kCommitBytes;

}  // namespace weighhouse::volume_limits
