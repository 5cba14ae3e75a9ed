#pragma once

#include "base/error.h"
#include "proto/csi.pb.h"

namespace weighhouse::csi {

/// Refuses what no volume of ours can be: a block device, an access type or mode that is missing or
/// unknown, a mount option that would have no effect. kInvalidArgument names it and the way out.
Result<> CheckCapability(const ::csi::v1::VolumeCapability& capability);

/// Refuses a capability that only reads (an access mode, or the mount option `ro`), for a volume
/// that its pods write to (kInvalidArgument with the way out).
Result<> CheckWrites(const ::csi::v1::VolumeCapability& capability);

/// True for a mode that lets several nodes use the volume at once.
bool IsMultiNode(const ::csi::v1::VolumeCapability& capability);

}  // namespace weighhouse::csi
