#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "csi/mountinfo.h"

namespace weighhouse::csi {

/// What keeps a container from writing to what volumes share. Every kind is mounted nosuid, nodev
/// and noexec, and all but kScratch ro.
enum class Protection {
  kReadOnlyBind,  ///< the flags alone: enough where the runtime sets them too, because the volume
                  ///< is readOnly
  kIdmappedBind,  ///< the files' owner has no mapping, so the kernel refuses writes even once the
                  ///< flags are cleared
  kOverlay,       ///< an overlay without an upper layer: nowhere to write to
  kScratch,       ///< an overlay whose upper layer is this mount's own, in memory: what is written
                  ///< there ends with the mount
};

/// "read-only bind", "idmapped bind", "overlay", "scratch overlay".
std::string_view ProtectionName(Protection protection);

/// One volume to mount.
struct MountOrder {
  int tree = -1;  ///< O_PATH descriptor of the directory to show; nothing mounted below it is shown
  std::string tree_name;  ///< relative to the cache root; an overlay carries it as its source
  int target = -1;        ///< O_PATH descriptor of the empty directory to mount on
  Protection protection = Protection::kReadOnlyBind;
  std::string selinux_context;  ///< for overlays; empty: none
  Bytes scratch_size = 0;       ///< for kScratch: what the upper layer may hold
};

/// The one seam to the kernel's mounts. Thread-safe.
class Mounter {
 public:
  virtual ~Mounter() = default;
  /// What is mounted in this process's mount namespace.
  virtual Result<std::vector<MountEntry>> Mounts() const = 0;
  /// Mounts, with no moment in which the tree could be written through. kUnimplemented if the
  /// kernel or the tree's filesystem can't do this protection; then nothing has happened. Of
  /// kScratch: kOutOfRange if no scratch volume may have this tree, kResourceExhausted if
  /// there are too many of them, or of mount namespaces; both say the way out.
  virtual Result<> Mount(const MountOrder& order) = 0;
  /// Takes the topmost mount at `name` in the directory `parent` away, at once and also where it is
  /// in use. kNotFound if nothing is mounted there.
  virtual Result<> Unmount(int parent, const std::string& name) = 0;
};

}  // namespace weighhouse::csi
