#include "csi/target_path.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/text.h"
#include "csi/mountinfo.h"

namespace weighhouse::csi {
namespace {

std::unexpected<Error> Refuse(std::string_view path, std::string_view why) {
  return Fail(Code::kInvalidArgument, fmt::format("target_path {}: {}", Printable(path, 400), why));
}

/// True if no component is empty, `.` or `..`.
bool IsClean(std::string_view absolute) {
  while (!absolute.empty()) {
    absolute.remove_prefix(1);
    std::string_view component = absolute.substr(0, absolute.find('/'));
    if (component.empty() || component == "." || component == "..") return false;
    absolute.remove_prefix(component.size());
  }
  return true;
}

/// <uid> of pods/<uid>/volumes/kubernetes.io~csi/<volume>/mount.
std::string PodUid(std::string_view relative) {
  std::vector<std::string> parts = SplitAndTrim(relative, '/');
  bool kubelet_form = parts.size() == 6 && parts[0] == "pods" && parts[2] == "volumes" &&
                      parts[3] == "kubernetes.io~csi" && parts[5] == "mount";
  return kubelet_form ? parts[1] : "";
}

Result<bool> IsEmpty(int directory) {
  // A descriptor of its own: O_PATH ones can't be read.
  int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FailErrno(errno, "open");
  std::unique_ptr<DIR, int (*)(DIR*)> listing(fdopendir(fd), closedir);
  if (!listing) {
    close(fd);
    return FailErrno(errno, "list");
  }
  while (const dirent* entry = readdir(listing.get())) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") return false;
  }
  return true;
}

}  // namespace

Result<TargetPath> TargetPath::Parse(std::string_view path, std::string_view kubelet_root) {
  if (path.empty()) return Fail(Code::kInvalidArgument, "target_path is missing");
  if (path.size() >= PATH_MAX) return Refuse(path.substr(0, 64), "longer than a path may be");
  if (!path.starts_with('/')) return Refuse(path, "must be absolute");
  if (path.contains('\0')) return Refuse(path, "holds a NUL byte");
  if (!IsClean(path)) return Refuse(path, "may have no empty, `.` or `..` component");
  if (!IsAtOrBelow(path, kubelet_root) || path.size() == kubelet_root.size()) {
    return Refuse(path,
                  fmt::format("must lie below the kubelet root {} (--kubelet-root)", kubelet_root));
  }
  std::string_view relative = path.substr(kubelet_root == "/" ? 1 : kubelet_root.size() + 1);
  size_t slash = relative.rfind('/');
  bool nested = slash != std::string_view::npos;
  return TargetPath{.path = std::string(path),
                    .parent = nested ? std::string(relative.substr(0, slash)) : ".",
                    .name = std::string(nested ? relative.substr(slash + 1) : relative),
                    .pod_uid = PodUid(relative)};
}

std::string TargetPath::LeaseId() const { return Digest::Of(path).Hex(); }

std::string TargetPath::MountPoint(const RootDirectory& kubelet_root) const {
  std::string point = kubelet_root.path == "/" ? "" : kubelet_root.path;
  if (parent != ".") point += "/" + parent;
  return point + "/" + name;
}

Result<UniqueFd> OpenTargetParent(const RootDirectory& kubelet_root, const TargetPath& target) {
  return OpenDirectoryBeneath(kubelet_root.fd.get(), target.parent, MountCrossing::kAllowed);
}

Result<UniqueFd> MakeTarget(int parent, const TargetPath& target) {
  if (mkdirat(parent, target.name.c_str(), 0750) != 0 && errno != EEXIST) {
    return FailErrno(errno, fmt::format("make {}", target.path));
  }
  UniqueFd fd = TRY(OpenDirectoryBeneath(parent, target.name, MountCrossing::kAllowed));
  bool empty = TRY(IsEmpty(fd.get()));
  if (!empty) {
    return Fail(
        Code::kFailedPrecondition,
        fmt::format("target_path {} holds files that a mount would hide: empty it", target.path));
  }
  return fd;
}

Result<> RemoveTarget(int parent, const TargetPath& target) {
  if (unlinkat(parent, target.name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  switch (errno) {
    case ENOTEMPTY:
    case EEXIST:
      return Fail(Code::kFailedPrecondition,
                  fmt::format("{} holds files that aren't ours: empty it", target.path));
    case EBUSY:
      return Fail(Code::kFailedPrecondition, fmt::format("{} is still a mount point", target.path));
    case ENOTDIR:
      return Fail(Code::kFailedPrecondition, fmt::format("{} is no directory", target.path));
    default:
      return FailErrno(errno, fmt::format("remove {}", target.path));
  }
}

}  // namespace weighhouse::csi
