#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/units.h"
#include "csi/mounter.h"
#include "csi/protections.h"
#include "csi/published.h"
#include "csi/target_path.h"
#include "csi/volume_mount.h"

namespace weighhouse::csi {

/// What the daemon says of its root, to be compared with ours.
struct DaemonRoot {
  uint64_t device = 0;
  uint64_t inode = 0;
  std::string id;
};

/// What a pod may do with its volume.
struct VolumeAccess {
  bool readonly = false;   ///< its runtime keeps the mount's read-only flag
  Bytes scratch_size = 0;  ///< how much it may write, to a layer of its own; 0: nothing

  bool Scratch() const { return scratch_size > 0 && !readonly; }
};

/// What was mounted at one moment.
struct MountLook {
  VolumeMounts mounts;
  uint64_t cache_mount = 0;  ///< the mount that the cache root lies on, by `MountIdOf`
};

/// What a publish must know of the cache root's mount.
struct CacheMount {
  uint64_t id = 0;
  SelinuxState selinux = SelinuxState::kOff;
};

/// True if what is mounted at `mount_point` shows in the host's namespace too, as far as the mount
/// below it tells: it must be shared. kUnavailable says how to mend it.
Result<> CheckPropagation(const VolumeMounts& mounts, const std::string& mount_point);

/// What a publish does to the disk and the mounts: the only users of the roots and of the Mounter.
/// Every function blocks for some system calls. Thread-safe for different targets; calls for one
/// target come one at a time.
///
/// What a publish meets is kUnavailable where the kernel or a disk fails for now (no memory, no
/// descriptor, EIO), because kubelet would take kInternal as final.
class VolumeDisk {
 public:
  struct Settings {
    std::string kubelet_root;
    std::string cache_root;
    std::string selinux_context;
  };
  VolumeDisk(Settings settings, Mounter& mounter, const Protections& protections)
      : settings_(std::move(settings)), mounter_(mounter), protections_(protections) {}

  /// kUnavailable if it isn't there.
  Result<RootDirectory> OpenKubeletRoot() const;
  /// All mounts, with an eye for ours; kUnavailable if they can't be read, or the cache root isn't
  /// there.
  Result<MountLook> Look() const;
  Result<VolumeMounts> Mounts() const;

  /// Whether mounts below the kubelet root's `pods` reach the host.
  Result<> CheckKubeletRoot() const;

  struct Inspection {
    VolumeMounts::Found found;  ///< what is mounted at the target
    Result<> propagation;       ///< whether a mount there would reach the host
    CacheMount cache;
  };
  /// What `look` says of the target; its error, unless the walk to the target meets one.
  Result<Inspection> Inspect(const TargetPath& target, const Result<MountLook>& look) const;

  /// True if one of our volumes is mounted at `target_path`, by `look`.
  Result<bool> HoldsVolume(const std::string& target_path, const MountLook& look) const;

  /// kUnavailable unless the directory that we see as the cache root is the daemon's.
  Result<> CheckCacheRoot(const DaemonRoot& daemon) const;

  /// Whether this node can give such access at all; the errors of Protections::CheckScratch.
  Result<> CheckAccess(const VolumeAccess& access) const;

  /// Makes the target and mounts `tree` there. The tree's name is the daemon's word and isn't
  /// trusted: it must have the form of one and is opened below our own cache root, without symlinks
  /// and on the same mount (kUnavailable otherwise). `cache` is what an inspection saw: only if
  /// another mount has taken its place since are all mounts read again. Of scratch:
  /// kFailedPrecondition for a tree that has too much for it, kResourceExhausted where there are
  /// too many such volumes, or mount namespaces, kUnavailable for any other failure.
  Result<> Mount(const TargetPath& target, const std::string& tree, const VolumeAccess& access,
                 const CacheMount& cache) const;

  /// Takes every mount at the target away and removes the directory. Nothing there is fine.
  Result<> Clear(const TargetPath& target) const;
  /// Removes the target's directory if nothing is mounted there. Best effort.
  void RemoveUnlessMounted(const TargetPath& target) const;

  /// The sum over a tree's files; stops at a limit of entries far above any model's.
  Result<VolumeSizes> Measure(const std::string& tree) const;

  /// The volume's id by kubelet's `vol_data.json` beside the target, or "".
  std::string VolumeHandle(const TargetPath& target) const;

 private:
  Result<RootDirectory> OpenCacheRoot() const;
  Result<UniqueFd> OpenTree(const std::string& tree) const;
  Result<Protection> Choose(const VolumeAccess& access, SelinuxState selinux) const;
  Result<SelinuxState> Selinux(const CacheMount& seen) const;
  Result<> MountProtected(const MountOrder& order) const;
  Result<> MountScratch(const MountOrder& order) const;

  const Settings settings_;
  Mounter& mounter_;
  const Protections& protections_;
};

}  // namespace weighhouse::csi
