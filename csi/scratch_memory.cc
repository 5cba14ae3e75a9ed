#include "csi/scratch_memory.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <set>
#include <string>

#include <fmt/format.h>

#include "csi/volume_mount.h"

namespace weighhouse::csi {
namespace {

/// One file for this much room: what a file costs beside its bytes stays a small part of it.
constexpr Bytes kBytesPerFile = 16 * kKiB;
constexpr Bytes kMinFiles = 1024;

/// What the layer of the overlay at `mount_point` cost, from the files that it may hold in all.
Bytes CostOf(const std::string& mount_point, Bytes most) {
  struct statfs status{};
  if (statfs(mount_point.c_str(), &status) != 0 || status.f_type != OVERLAYFS_SUPER_MAGIC) {
    return most;
  }
  Bytes files = status.f_files;
  Bytes free_files = ScratchFiles(status.f_blocks * static_cast<Bytes>(status.f_bsize));
  if (files < free_files) return most;
  return std::min((files - free_files) * kKiB, most);
}

}  // namespace

Bytes ScratchFiles(Bytes size) { return std::max(kMinFiles, size / kBytesPerFile); }

Bytes LiveScratchCost(const std::vector<MountEntry>& mounts, Bytes most) {
  std::set<std::string> seen;
  Bytes sum = 0;
  for (const MountEntry& mount : mounts) {
    bool ours = mount.upper_layer && mount.source.starts_with(kOverlaySourcePrefix);
    if (ours && seen.insert(mount.device).second) sum += CostOf(mount.mount_point, most);
  }
  return sum;
}

Bytes ScratchMemory::Add(Bytes cost) {
  MutexLock lock(mutex_);
  return pending_ += cost;
}

void ScratchMemory::Remove(Bytes cost) {
  MutexLock lock(mutex_);
  pending_ -= cost;
}

Result<> ScratchMemory::Pending::Check(Bytes live) const {
  if (live + all_ <= memory_.limit_) return {};
  return Fail(Code::kResourceExhausted,
              fmt::format("the directories of this node's scratch volumes take {} of the plugin's "
                          "memory, and this one would take {} more, of {} in all: let pods with "
                          "`access: scratch` end first, run this one on another node, or have its "
                          "volume read-only by `access: readOnly` or `readOnly: true`",
                          FormatBytes(live + all_ - cost_), FormatBytes(cost_),
                          FormatBytes(memory_.limit_)));
}

}  // namespace weighhouse::csi
