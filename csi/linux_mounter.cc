#include "csi/linux_mounter.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "base/text.h"
#include "csi/beneath.h"
#include "csi/unmapped_namespace.h"
#include "csi/volume_mount.h"

namespace weighhouse::csi {
namespace {

constexpr uint64_t kRestrictions =
    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

/// EINVAL and friends of a kernel or a filesystem that lacks a feature.
std::unexpected<Error> Unsupported(std::string_view what, int error_number) {
  return Fail(Code::kUnimplemented, fmt::format("{}: {}", what, std::strerror(error_number)));
}

bool MeansUnsupported(int error_number) {
  return error_number == EINVAL || error_number == ENOSYS || error_number == EOPNOTSUPP ||
         error_number == ENODEV || error_number == EPERM;
}

/// The mapped id would be the one owner whose files an idmapped mount leaves writable.
Result<> CheckOwner(int tree) {
  struct stat status{};
  if (fstat(tree, &status) != 0) return FailErrno(errno, "stat the tree");
  if (status.st_uid != kMappedId && status.st_gid != kMappedId) return {};
  return Fail(Code::kUnimplemented,
              fmt::format("the tree belongs to id {}, which idmapping needs", kMappedId));
}

/// What the kernel wrote about a failed fsconfig(2), as " (…)".
std::string KernelLog(int filesystem) {
  std::array<char, 512> text{};
  ssize_t size = read(filesystem, text.data(), text.size());
  if (size <= 0) return "";
  return fmt::format(" ({})",
                     Printable(Trim(std::string_view(text.data(), static_cast<size_t>(size)))));
}

Result<> SetOption(int filesystem, const char* key, const std::string& value) {
  if (fsconfig(filesystem, FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) return {};
  int error_number = errno;
  return Unsupported(fmt::format("overlay option {}={}{}", key, value, KernelLog(filesystem)),
                     error_number);
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
  }
  return "unknown";
}

LinuxMounter::LinuxMounter(std::string empty_directory)
    : empty_directory_(std::move(empty_directory)), unmapped_namespace_(MakeUnmappedNamespace()) {}

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
  if (!mount) {
    if (errno == ENOSYS) return Unsupported("open_tree", errno);
    return FailErrno(errno, "clone the tree's mount");
  }
  if (mount_setattr(mount.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0) {
    return mount;
  }
  std::string what = fmt::format("make a {}", ProtectionName(order.protection));
  if (MeansUnsupported(errno)) return Unsupported(what, errno);
  return FailErrno(errno, what);
}

Result<UniqueFd> LinuxMounter::MakeOverlay(const MountOrder& order) const {
  UniqueFd filesystem(fsopen("overlay", FSOPEN_CLOEXEC));
  if (!filesystem) return Unsupported("open the overlay filesystem", errno);
  UniqueFd empty(open(empty_directory_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!empty) {
    return Unsupported(fmt::format("open the overlay's empty layer {}", empty_directory_), errno);
  }
  // By descriptor: the walk to the tree has been checked, and a path may hold `:` or `,`.
  std::string layers = DescriptorPath(order.tree) + ":" + DescriptorPath(empty.get());
  TRY(SetOption(filesystem.get(), "source", std::string(kOverlaySourcePrefix) + order.tree_name));
  TRY(SetOption(filesystem.get(), "lowerdir", layers));
  if (!order.selinux_context.empty()) {
    TRY(SetOption(filesystem.get(), "context", order.selinux_context));
  }
  if (fsconfig(filesystem.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    int error_number = errno;
    return Unsupported("make an overlay" + KernelLog(filesystem.get()), error_number);
  }
  UniqueFd mount(fsmount(filesystem.get(), FSMOUNT_CLOEXEC, kRestrictions));
  if (!mount) return Unsupported("make an overlay's mount", errno);
  return mount;
}

Result<> LinuxMounter::Mount(const MountOrder& order) {
  Result<UniqueFd> mount =
      order.protection == Protection::kOverlay ? MakeOverlay(order) : MakeBind(order);
  if (!mount) return std::unexpected(std::move(mount).error());
  constexpr unsigned int kFlags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  if (move_mount(mount->get(), "", order.target, "", kFlags) != 0) {
    return FailErrno(errno, "attach the mount to its target");
  }
  return {};
}

Result<> LinuxMounter::Unmount(int parent, const std::string& name) {
  std::string path = fmt::format("{}/{}", DescriptorPath(parent), name);
  if (umount2(path.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0) return {};
  // umount(2): EINVAL is "no mount point".
  if (errno == EINVAL || errno == ENOENT) return Fail(Code::kNotFound, "nothing is mounted there");
  return FailErrno(errno, fmt::format("unmount {}", Printable(name)));
}

}  // namespace weighhouse::csi
