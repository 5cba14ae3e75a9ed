#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace weighhouse::csi {

/// A filesystem on its way to a mount: fsopen(2), fsconfig(2), fsmount(2). Errors are those of
/// MountFailure, with what the kernel says about them. Owned by one thread.
class NewFilesystem {
 public:
  /// `type` is a constant such as "overlay".
  static Result<NewFilesystem> Open(const char* type);
  Result<> Set(const char* key, const std::string& value);
  /// Makes it, and a mount of it with `attributes` (MOUNT_ATTR_…) that no path leads to.
  Result<UniqueFd> Mount(uint64_t attributes);

 private:
  NewFilesystem(const char* type, UniqueFd context) : type_(type), context_(std::move(context)) {}
  /// What the kernel wrote about the failed call, as " (…)".
  std::string KernelLog() const;

  const char* type_;
  UniqueFd context_;
};

}  // namespace weighhouse::csi
