#pragma once

#include <string>

#include "base/error.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/root_layout.h"
#include "cache-daemon/store/root_lock.h"

namespace weighhouse::store {

/// A cache root that is ours, locked, of a known format, with all its directories.
struct PreparedRoot {
  RootLock lock;
  std::string id;  ///< 32 hexadecimal digits, made with the root
};

/// Checks the directory of `layout` and makes it a cache root where it is new (missing or empty).
/// kInvalidArgument for a relative path; kFailedPrecondition with the way out for: not a directory,
/// can't be made, not writable, somebody else's files, another owner, an unknown format, no hard
/// links.
Result<PreparedRoot> PrepareRoot(io::Filesystem& filesystem, const RootLayout& layout);

}  // namespace weighhouse::store
