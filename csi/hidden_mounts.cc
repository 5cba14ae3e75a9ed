#include "csi/hidden_mounts.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/thread.h"
#include "csi/mount_error.h"

namespace weighhouse::csi {
namespace {

/// For the calling thread only, and for good.
Result<> HideMounts(int directory) {
  // First, or the whole process would change its directory.
  if (unshare(CLONE_FS) != 0) return MountFailure(errno, "leave the process's directory");
  // The kernel takes the working directory along into the copy of its mount; a descriptor stays on
  // the mount that it was opened on, where an overlay may not use it.
  if (fchdir(directory) != 0) return MountFailure(errno, "enter the tree");
  if (unshare(CLONE_NEWNS) != 0) {
    if (errno != ENOSPC) return MountFailure(errno, "make a mount namespace");
    return Fail(Code::kResourceExhausted,
                "this node has as many mount namespaces as user.max_mnt_namespaces allows, and "
                "making a scratch volume takes one for a moment: raise it, or let pods end first");
  }
  // Slaves, not private: an unmount on the host reaches the copies at once, and ours keep no disk
  // busy; what is mounted here reaches nobody.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return MountFailure(errno, "keep the mount namespace to itself");
  }
  return {};
}

}  // namespace

Result<UniqueFd> WithHiddenMounts(int directory, const std::function<Result<UniqueFd>()>& job) {
  std::optional<Result<UniqueFd>> outcome;
  auto body = [&](const std::stop_token& /*stop*/) {
    Result<> hidden = HideMounts(directory);
    outcome = hidden ? job() : std::unexpected(std::move(hidden).error());
  };
  std::jthread thread = TRY(TryStartThread("hidden-mounts", body));
  thread.join();
  return std::move(*outcome);
}

}  // namespace weighhouse::csi
