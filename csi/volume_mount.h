#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "csi/mountinfo.h"

namespace weighhouse::csi {

/// True for what the daemon may name as a tree: `trees/files/<64 hex>` or `trees/hub/<64 hex>`,
/// with
/// `-<number>` behind it where an earlier tree of that name holds a file that proved bad.
bool IsTreePath(std::string_view tree);

/// What stands before the tree in the source of an overlay that we mount, so that mountinfo names
/// the tree.
inline constexpr std::string_view kOverlaySourcePrefix = "weighhouse:";

/// Tells volumes of this cache from other mounts by mountinfo alone. A value.
class VolumeMounts {
 public:
  /// `cache_root` is absolute and without symlinks. `mounts` is copied.
  VolumeMounts(std::vector<MountEntry> mounts, std::string_view cache_root);

  enum class Kind {
    kNone,     ///< nothing is mounted there
    kVolume,   ///< one of our trees
    kDead,     ///< one of our trees, removed from the disk since
    kForeign,  ///< something else
  };
  struct Found {
    Kind kind = Kind::kNone;
    std::string tree;      ///< relative to the cache root, for kVolume
    bool scratch = false;  ///< with a layer that the pod may write to, for kVolume
  };
  /// What is on top at `path`.
  Found At(std::string_view path) const;

  struct Volume {
    std::string mount_point;
    std::string tree;
  };
  /// Every volume of ours (kVolume) that is mounted below `directory` and visible, one per mount
  /// point.
  std::vector<Volume> Below(std::string_view directory) const;

  /// The mount that `path` lies in, or null.
  const MountEntry* Covering(std::string_view path) const { return CoveringMount(mounts_, path); }

  /// SELinux labels the files of the cache root's filesystem.
  bool cache_has_labels() const { return cache_has_labels_; }

 private:
  Found Classify(const MountEntry& mount) const;

  std::vector<MountEntry> mounts_;
  std::string cache_device_;
  bool cache_has_labels_ = false;
  std::string
      cache_prefix_;  ///< the cache root within its filesystem, as `MountEntry::root` would show it
};

}  // namespace weighhouse::csi
