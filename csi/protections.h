#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "base/mutex.h"
#include "csi/mounter.h"

namespace weighhouse::csi {

/// What the self-test found of one kind of mount.
struct ProtectionFinding {
  bool holds = false;
  std::string reason;  ///< why not
  /// Why not: kUnimplemented if the kernel can't, kFailedPrecondition if it forbids it or was seen
  /// to let root write; any other may pass.
  Code code = Code::kUnimplemented;

  bool MayHoldLater() const {
    return !holds && code != Code::kUnimplemented && code != Code::kFailedPrecondition;
  }
};

/// Which kinds of mount keep root from writing on this node.
struct ProtectionFindings {
  ProtectionFinding idmapped_bind;
  ProtectionFinding overlay;
  ProtectionFinding scratch{};  ///< of kScratch: a pod writes, and the tree stays as it is
};

enum class SelinuxState { kOff, kOn };

/// How to mount a volume (design §5): readOnly ones by a plain read-only bind, because the runtime
/// then sets the flag itself and a pod with `hostUsers: false` couldn't idmap the mount again;
/// others by what holds, idmapped first; with SELinux on, others only by an overlay with a context,
/// because kubelet would have the shared files relabelled. kFailedPrecondition if nothing holds: it
/// says why, and that `readOnly: true` is the way out.
Result<Protection> ChooseProtection(const ProtectionFindings& findings, bool readonly,
                                    SelinuxState selinux);

/// Tries on a scratch tree below `scratch_directory` (made if missing; a directory of the host's,
/// ours alone), as root, to write, create, delete and change a mode through each kind of mount
/// after its read-only flag was cleared on a clone, as runc since 1.2 does; and to write through a
/// scratch overlay, after which the tree must be what it was. Leaves nothing behind but the
/// directory `empty`. An error means that the test couldn't be made.
Result<ProtectionFindings> TestProtections(Mounter& mounter, const std::string& scratch_directory);

/// The same for one kind. An error means that the test couldn't be made.
Result<ProtectionFinding> TestProtection(Mounter& mounter, const std::string& scratch_directory,
                                         Protection protection);

/// The overlays' empty layer.
std::string EmptyDirectory(const std::string& scratch_directory);

/// The findings of this node, made once, but for a scratch overlay that failed for now: no memory,
/// no process. Thread-safe.
class Protections {
 public:
  Protections(Mounter& mounter, std::string scratch_directory)
      : mounter_(mounter), scratch_directory_(std::move(scratch_directory)) {}
  /// With findings that are known already.
  Protections(Mounter& mounter, ProtectionFindings findings)
      : mounter_(mounter), findings_(std::move(findings)) {}

  /// Runs the test unless it was made, or again what of it may pass this time, and logs what it
  /// found that is new. One caller at a time.
  Result<> Ensure() EXCLUDES(mutex_);
  /// As ChooseProtection; kUnavailable while the test couldn't be made.
  Result<Protection> Choose(bool readonly, SelinuxState selinux) const EXCLUDES(mutex_);
  /// OK where an overlay holds, for a filesystem that can't be idmapped; kUnimplemented where it
  /// doesn't, with what the test found.
  Result<> CheckOverlay() const EXCLUDES(mutex_);
  /// OK where a scratch overlay works; kFailedPrecondition where it doesn't, with the reason and
  /// the way out, and kUnavailable while the test couldn't be made, or failed for now.
  Result<> CheckScratch() const EXCLUDES(mutex_);

 private:
  Result<> TestAll() EXCLUDES(mutex_);
  Result<> TestScratchAgain() EXCLUDES(mutex_);
  Error NotTested() const REQUIRES(mutex_);

  Mounter& mounter_;
  const std::string scratch_directory_;
  mutable Mutex mutex_;
  std::optional<ProtectionFindings> findings_ GUARDED_BY(mutex_);
  std::string failure_ GUARDED_BY(mutex_) = "has not run yet";
};

}  // namespace weighhouse::csi
