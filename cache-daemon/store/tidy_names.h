#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cache-daemon/io/filesystem.h"

namespace weighhouse::store {

/// Removes `path` and all below it. What stays is logged: the next start finds it again.
void RemoveGarbage(io::Filesystem& filesystem, const std::string& path);

/// The names in `directory`, without the half-written ones, which are removed.
Result<std::vector<std::string>> TidyNames(io::Filesystem& filesystem,
                                           const std::string& directory);

}  // namespace weighhouse::store
