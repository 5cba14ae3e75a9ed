#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/units.h"
#include "cache-daemon/store/layer_record.h"

namespace weighhouse::fill {

/// One entry of a layer's tar, as its header has it.
struct TarEntry {
  enum class Type { kFile, kDirectory, kHardLink, kSymbolicLink, kOther };
  Type type = Type::kOther;
  std::string path;
  Bytes size = 0;
};

/// What `entry` means for the tree of a layer with `prefix` (PackedLayer::prefix). Nothing: it
/// doesn't count (a directory, or what an image has elsewhere). kInvalidArgument: absolute names
/// and those with `..`, wherever they are; and of what would be a part of the model names that no
/// file may have (CheckPath), links and devices.
Result<std::optional<store::LayerEntry>> JudgeEntry(const TarEntry& entry, std::string_view prefix);

}  // namespace weighhouse::fill
