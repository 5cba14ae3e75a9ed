#pragma once

#include <string>

#include "csi/publish_flight.h"
#include "proto/csi.pb.h"

namespace weighhouse::csi {

/// Reads what the wire says into what a publish works with. The target has been read before,
/// because a refusal must undo what is there. kInvalidArgument or kFailedPrecondition names the
/// field, the value and the way out (facts §4.4).
Result<PublishOrder> ReadPublishRequest(const ::csi::v1::NodePublishVolumeRequest& request,
                                        const TargetPath& target);

/// Refuses an empty id and one that no volume can have (over 128 bytes, control characters).
Result<> CheckVolumeId(const std::string& volume_id);

}  // namespace weighhouse::csi
