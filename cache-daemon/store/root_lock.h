#pragma once

#include <string>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"

namespace weighhouse::store {

/// Sole ownership of a cache root: a flock(2) that the kernel gives back when the process ends,
/// however it ends. The file holds the owner's pid, for the one who finds it locked. Move-only.
class RootLock {
 public:
  /// Locks the file `path` (made if missing) of the cache at `root`. kUnavailable names the process
  /// that has it; any other code: the file can't be made or opened.
  static Result<RootLock> Take(const std::string& path, const std::string& root);

 private:
  explicit RootLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace weighhouse::store
