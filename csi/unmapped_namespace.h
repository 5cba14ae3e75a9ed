#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/unique_fd.h"

namespace weighhouse::csi {

/// The one id that the namespace below maps. It must not own a file: 2^32-2, the highest there is.
inline constexpr uint32_t kMappedId = 4294967294;

/// Makes a user namespace that maps `kMappedId` and nothing else, and returns its descriptor: a
/// mount that is idmapped with it (mount_setattr(2)) shows files whose owner has no mapping.
/// kUnimplemented where the node forbids user namespaces.
Result<UniqueFd> MakeUnmappedNamespace();

}  // namespace weighhouse::csi
