#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace weighhouse::csi {

/// One line of /proc/<pid>/mountinfo (proc_pid_mountinfo(5)), octal escapes undone.
struct MountEntry {
  int id = 0;
  int parent_id = 0;
  std::string device;  ///< "major:minor" of the filesystem
  std::string root;    ///< the directory of that filesystem which is mounted; ends in "//deleted"
                       ///< once removed
  std::string mount_point;   ///< relative to the reading process's root
  bool shared = false;       ///< in a peer group: what is mounted below it shows in the peers
  std::string filesystem;    ///< "ext4", "overlay" …
  std::string source;        ///< what the mounting program named as the source
  bool upper_layer = false;  ///< an overlay that can be written to
  bool seclabel =
      false;  ///< SELinux labels its files: kubelet then relabels volumes that aren't readOnly
};

/// The entries in the kernel's order. A line of another shape is kInternal and shown.
Result<std::vector<MountEntry>> ParseMountinfo(std::string_view text);

/// The mount in which a path walk to `path` (absolute, clean, without symlinks) ends; null if there
/// is none. Follows the parents as the kernel does, so a mount hidden below a later one is not
/// found.
const MountEntry* CoveringMount(const std::vector<MountEntry>& mounts, std::string_view path);

/// The topmost mount exactly at `path`, or null.
const MountEntry* MountAt(const std::vector<MountEntry>& mounts, std::string_view path);

/// True if `path` is `directory` or lies below it, component by component.
bool IsAtOrBelow(std::string_view path, std::string_view directory);

}  // namespace weighhouse::csi
