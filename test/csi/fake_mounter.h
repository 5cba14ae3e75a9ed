#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "csi/mounter.h"

namespace weighhouse::csi {

/// Mounts in a list only: for tests without privileges. Behaves as the kernel would, as far as
/// mounter_contract.h asks. The tree doesn't show at the target. Thread-safe.
class FakeMounter final : public Mounter {
 public:
  FakeMounter();

  Result<std::vector<MountEntry>> Mounts() const override EXCLUDES(mutex_);
  Result<> Mount(const MountOrder& order) override EXCLUDES(mutex_);
  Result<> Unmount(int parent, const std::string& name) override EXCLUDES(mutex_);

  /// Whether the root filesystem's mount, which all targets lie on, is shared. It is at first.
  void SetShared(bool shared) EXCLUDES(mutex_);
  /// From now on this protection fails with `error`.
  void Fail(Protection protection, Error error) EXCLUDES(mutex_);
  /// From now on nobody can read what is mounted; without an error they can again.
  void FailReads(std::optional<Error> error) EXCLUDES(mutex_);
  /// Mounts something that isn't ours.
  void AddForeign(const std::string& path) EXCLUDES(mutex_);
  /// What a mount of `tree_root` looks like once its directory is removed.
  void MarkDeleted(const std::string& path) EXCLUDES(mutex_);
  /// How often something was mounted.
  int mounts_made() const EXCLUDES(mutex_);
  /// How often somebody read what is mounted.
  int reads() const EXCLUDES(mutex_);
  /// From here to OpenReads whoever reads gets what was mounted when it began, but no sooner.
  void HoldReads() EXCLUDES(mutex_);
  void OpenReads() EXCLUDES(mutex_);
  /// Waits until so many have begun to read, in all.
  void WaitForReads(int count) const EXCLUDES(mutex_);
  /// The protection of the last mount.
  Protection last_protection() const EXCLUDES(mutex_);
  /// What the last mount may hold of its own.
  Bytes last_scratch_size() const EXCLUDES(mutex_);
  int CountAt(const std::string& path) const EXCLUDES(mutex_);

 private:
  void Add(MountEntry entry) REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::vector<MountEntry> entries_ GUARDED_BY(mutex_);
  std::map<Protection, Error> failures_ GUARDED_BY(mutex_);
  std::optional<Error> read_failure_ GUARDED_BY(mutex_);
  int next_id_ GUARDED_BY(mutex_) = 100;
  int mounts_made_ GUARDED_BY(mutex_) = 0;
  mutable ConditionVariable changed_;
  mutable int reads_ GUARDED_BY(mutex_) = 0;
  bool reads_held_ GUARDED_BY(mutex_) = false;
  Protection last_protection_ GUARDED_BY(mutex_) = Protection::kReadOnlyBind;
  Bytes last_scratch_size_ GUARDED_BY(mutex_) = 0;
};

}  // namespace weighhouse::csi
