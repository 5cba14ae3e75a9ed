#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "csi/mounter.h"
#include "csi/scratch_layer.h"

namespace weighhouse::csi {

/// An overlay over the order's tree without an upper layer, attached nowhere. `empty_directory`
/// exists: the second layer that the kernel wants. kUnimplemented as Mounter::Mount says.
Result<UniqueFd> MakeLowerOverlay(const MountOrder& order, const std::string& empty_directory);

/// An overlay over the order's tree whose upper layer is a filesystem in memory of its own
/// (MakeScratchLayer) that starts with `contents`, attached nowhere.
Result<UniqueFd> MakeScratchOverlay(const MountOrder& order, const ScratchContents& contents);

}  // namespace weighhouse::csi
