#include "csi/linux_mounter.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "base/text.h"
#include "csi/beneath.h"
#include "csi/mount_error.h"
#include "csi/overlay.h"
#include "csi/unmapped_namespace.h"

namespace weighhouse::csi {
namespace {

constexpr uint64_t kRestrictions =
    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// The mapped id would be the one owner whose files an idmapped mount leaves writable.
Result<> CheckOwner(int tree) {
  struct stat status{};
  if (fstat(tree, &status) != 0) return FailErrno(errno, "stat the tree");
  if (status.st_uid != kMappedId && status.st_gid != kMappedId) return {};
  return Fail(Code::kUnimplemented,
              fmt::format("the tree belongs to id {}, which idmapping needs", kMappedId));
}

Result<> Attach(int mount, int target) {
  constexpr unsigned int kFlags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  if (move_mount(mount, "", target, "", kFlags) == 0) return {};
  return FailErrno(errno, "attach the mount to its target");
}

}  // namespace

std::string_view ProtectionName(Protection protection) {
  switch (protection) {
    case Protection::kReadOnlyBind:
      return "read-only bind";
    case Protection::kIdmappedBind:
      return "idmapped bind";
    case Protection::kOverlay:
      return "overlay";
    case Protection::kScratch:
      return "scratch overlay";
  }
  return "unknown";
}

LinuxMounter::LinuxMounter(std::string empty_directory, Bytes scratch_memory)
    : empty_directory_(std::move(empty_directory)),
      unmapped_namespace_(MakeUnmappedNamespace()),
      scratch_memory_(scratch_memory) {}

Result<std::vector<MountEntry>> LinuxMounter::Mounts() const {
  UniqueFd fd(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (!fd) return FailErrno(errno, "open /proc/self/mountinfo");
  constexpr size_t kLimit = 64 << 20;  // a node has some thousand mounts of some hundred bytes
  std::string text;
  std::array<char, 64 << 10> chunk{};
  while (text.size() < kLimit) {
    ssize_t got = read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno(errno, "read /proc/self/mountinfo");
    if (got == 0) return ParseMountinfo(text);
    text.append(chunk.data(), static_cast<size_t>(got));
  }
  return Fail(Code::kInternal, "/proc/self/mountinfo does not end");
}

Result<UniqueFd> LinuxMounter::MakeBind(const MountOrder& order) const {
  mount_attr attributes{};
  attributes.attr_set = kRestrictions;
  // Else the clone joins the cache's peer group, and what is mounted below a volume shows in the
  // cache.
  attributes.propagation = MS_PRIVATE;
  if (order.protection == Protection::kIdmappedBind) {
    if (!unmapped_namespace_) return std::unexpected(unmapped_namespace_.error());
    TRY(CheckOwner(order.tree));
    attributes.attr_set |= MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<uint64_t>(unmapped_namespace_->get());
  }
  UniqueFd mount(open_tree(order.tree, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  if (!mount) return CloneFailure(errno);
  if (mount_setattr(mount.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0) {
    return mount;
  }
  return MountFailure(errno, fmt::format("make a {}", ProtectionName(order.protection)));
}

Result<> LinuxMounter::MountScratch(const MountOrder& order) {
  TreeKind kind = order.tree_name.starts_with("trees/hub/") ? TreeKind::kHub : TreeKind::kFiles;
  ScratchContents contents = TRY(ScratchContents::Read(order.tree, kind));
  ScratchMemory::Pending pending(scratch_memory_, contents.Cost());
  std::vector<MountEntry> mounts = TRY(Mounts());
  TRY(pending.Check(LiveScratchCost(mounts, ScratchContents::MostCost())));
  UniqueFd mount = TRY(MakeScratchOverlay(order, contents));
  return Attach(mount.get(), order.target);
}

Result<> LinuxMounter::Mount(const MountOrder& order) {
  if (order.protection == Protection::kScratch) return MountScratch(order);
  bool overlay = order.protection == Protection::kOverlay;
  UniqueFd mount = TRY(overlay ? MakeLowerOverlay(order, empty_directory_) : MakeBind(order));
  return Attach(mount.get(), order.target);
}

Result<> LinuxMounter::Unmount(int parent, const std::string& name) {
  std::string path = fmt::format("{}/{}", DescriptorPath(parent), name);
  if (umount2(path.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) return {};
  // umount(2): EINVAL is "no mount point".
  if (errno == EINVAL || errno == ENOENT) return Fail(Code::kNotFound, "nothing is mounted there");
  return FailErrno(errno, fmt::format("unmount {}", Printable(name)));
}

}  // namespace weighhouse::csi
