#pragma once

#include <string>

#include "base/unique_fd.h"
#include "csi/mounter.h"
#include "csi/scratch_memory.h"

namespace weighhouse::csi {

/// Mounts by the kernel's descriptor-based calls (Linux 5.12): a mount is made and restricted while
/// no path leads to it, and attached last. Needs CAP_SYS_ADMIN. Thread-safe.
class LinuxMounter final : public Mounter {
 public:
  /// `empty_directory` is an existing empty directory: the second layer that an overlay needs.
  /// Where no user namespace can be made, kIdmappedBind is kUnimplemented ever after.
  /// `scratch_memory`: what all scratch volumes may cost.
  explicit LinuxMounter(std::string empty_directory, Bytes scratch_memory = kScratchMemory);

  Result<std::vector<MountEntry>> Mounts() const override;
  Result<> Mount(const MountOrder& order) override;
  Result<> Unmount(int parent, const std::string& name) override;

 private:
  Result<> MountScratch(const MountOrder& order);
  Result<UniqueFd> MakeBind(const MountOrder& order) const;

  const std::string empty_directory_;
  Result<UniqueFd> unmapped_namespace_;
  ScratchMemory scratch_memory_;
};

}  // namespace weighhouse::csi
