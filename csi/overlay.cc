#include "csi/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "csi/beneath.h"
#include "csi/hidden_mounts.h"
#include "csi/mount_error.h"
#include "csi/new_filesystem.h"
#include "csi/volume_mount.h"

namespace weighhouse::csi {
namespace {

/// Kernels are built with other defaults. Each of these would let an attribute in the upper layer
/// say that a name means another file or directory of the tree.
constexpr std::array<std::pair<const char*, const char*>, 4> kNothingPointsElsewhere = {
    {{"redirect_dir", "nofollow"}, {"metacopy", "off"}, {"index", "off"}, {"nfs_export", "off"}}};

/// With what every overlay of ours says of itself.
Result<NewFilesystem> OpenOverlay(const MountOrder& order) {
  NewFilesystem overlay = TRY(NewFilesystem::Open("overlay"));
  TRY(overlay.Set("source", std::string(kOverlaySourcePrefix) + order.tree_name));
  if (!order.selinux_context.empty()) TRY(overlay.Set("context", order.selinux_context));
  return overlay;
}

/// Runs with the tree as the working directory, in a namespace that holds nothing of worth.
Result<UniqueFd> StackOn(const ScratchLayer& layer, const MountOrder& order) {
  UniqueFd tree(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!tree) return FailErrno(errno, "open the tree");
  // Before Linux 6.15 a layer must lie on a mount of the namespace that the overlay is made in.
  // Attached to the tree itself, which is open already, because no other place is sure to exist.
  if (move_mount(layer.mount.get(), "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return MountFailure(errno, "attach the scratch layer");
  }
  NewFilesystem overlay = TRY(OpenOverlay(order));
  TRY(overlay.Set("lowerdir", DescriptorPath(tree.get())));
  TRY(overlay.Set("upperdir", DescriptorPath(layer.upper.get())));
  TRY(overlay.Set("workdir", DescriptorPath(layer.work.get())));
  for (const auto& [key, value] : kNothingPointsElsewhere) TRY(overlay.Set(key, value));
  return overlay.Mount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

}  // namespace

Result<UniqueFd> MakeLowerOverlay(const MountOrder& order, const std::string& empty_directory) {
  NewFilesystem overlay = TRY(OpenOverlay(order));
  UniqueFd empty(open(empty_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!empty) {
    return Fail(Code::kUnimplemented, fmt::format("open the overlay's empty layer {}: {}",
                                                  empty_directory, std::strerror(errno)));
  }
  // By descriptor: the walk to the tree has been checked, and a path may hold `:` or `,`.
  TRY(overlay.Set("lowerdir", DescriptorPath(order.tree) + ":" + DescriptorPath(empty.get())));
  return overlay.Mount(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                       MOUNT_ATTR_NOEXEC);
}

Result<UniqueFd> MakeScratchOverlay(const MountOrder& order, const ScratchContents& contents) {
  ScratchLayer layer = TRY(MakeScratchLayer(contents, order.scratch_size));
  return WithHiddenMounts(order.tree, [&] { return StackOn(layer, order); });
}

}  // namespace weighhouse::csi
