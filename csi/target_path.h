#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"
#include "csi/beneath.h"

namespace weighhouse::csi {

/// Where kubelet wants a volume: `<kubelet
/// root>/pods/<uid>/volumes/kubernetes.io~csi/<volume>/mount`, or any other place below the kubelet
/// root (csi-sanity chooses its own). A value; made by `Parse` only.
struct TargetPath {
  std::string path;     ///< absolute and clean, as the caller gave it: the key of everything
  std::string parent;   ///< relative to the kubelet root, "." if it is the root itself
  std::string name;     ///< the last component
  std::string pod_uid;  ///< of the form above, else empty

  /// kInvalidArgument: empty, relative, longer than PATH_MAX, with an empty, `.` or `..` component
  /// or a NUL, or not below `kubelet_root` (absolute and clean).
  static Result<TargetPath> Parse(std::string_view path, std::string_view kubelet_root);

  /// The lease that a publish to this target holds: sha256 of `path` in hexadecimal.
  std::string LeaseId() const;
  /// The target as mountinfo shows it, with the root's canonical path.
  std::string MountPoint(const RootDirectory& kubelet_root) const;
};

/// Opens the target's parent, walking from the kubelet root without following a symlink. kNotFound
/// if it isn't there.
Result<UniqueFd> OpenTargetParent(const RootDirectory& kubelet_root, const TargetPath& target);

/// Makes the target itself (0750) if it isn't there, and opens it. kFailedPrecondition if it is no
/// empty directory.
Result<UniqueFd> MakeTarget(int parent, const TargetPath& target);

/// Removes the empty directory; one that isn't there is fine. kFailedPrecondition says what is in
/// the way.
Result<> RemoveTarget(int parent, const TargetPath& target);

}  // namespace weighhouse::csi
