#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"

namespace weighhouse::csi {

/// A directory that paths are opened below.
struct RootDirectory {
  UniqueFd fd;       ///< O_PATH
  std::string path;  ///< canonical, as mountinfo shows it
};

/// Opens the directory `path`, an administrator's setting: symlinks in it are followed.
Result<RootDirectory> OpenRootDirectory(const std::string& path);

enum class MountCrossing {
  kAllowed,
  kRefused,  ///< everything on the way must lie on the mount of the directory
};

/// Opens the directory `path` (relative) below `directory` with O_PATH. Refuses symlinks, magic
/// links and `..` on the way (openat2(2): RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV).
/// kNotFound if it isn't there; kInvalidArgument for a symlink, a mount that may not be crossed or
/// a component that is no directory.
Result<UniqueFd> OpenDirectoryBeneath(int directory, const std::string& path,
                                      MountCrossing crossing);

/// As above, but for reading its names.
Result<UniqueFd> OpenListingBeneath(int directory, const std::string& path, MountCrossing crossing);

/// As above, but a regular file for reading.
Result<UniqueFd> OpenFileBeneath(int directory, const std::string& path, MountCrossing crossing);

/// Which mount the open file lies on: another number for another mount, and from Linux 6.8 on never
/// used again.
Result<uint64_t> MountIdOf(int fd);

/// "/proc/self/fd/<fd>": a path for system calls that take no descriptor.
std::string DescriptorPath(int fd);

/// Reads at most `limit` bytes of the file.
Result<std::string> ReadAtMost(int fd, size_t limit);

}  // namespace weighhouse::csi
