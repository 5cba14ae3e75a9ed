#include "csi/publish_request.h"

#include <fmt/format.h>

#include "base/text.h"
#include "csi/capability.h"
#include "csi/wire_map.h"

namespace weighhouse::csi {
namespace {

using Mode = ::csi::v1::VolumeCapability_AccessMode;

}  // namespace

Result<> CheckVolumeId(const std::string& volume_id) {
  constexpr size_t kMaxVolumeId = 128;  // CSI specification, "Size Limits"
  if (volume_id.empty()) return Fail(Code::kInvalidArgument, "volume_id is missing");
  if (volume_id.size() <= kMaxVolumeId && Printable(volume_id, kMaxVolumeId) == volume_id) {
    return {};
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("volume_id `{}`: must be at most {} printable bytes",
                          Printable(volume_id, 64), kMaxVolumeId));
}

Result<PublishOrder> ReadPublishRequest(const ::csi::v1::NodePublishVolumeRequest& request,
                                        const TargetPath& target) {
  TRY(CheckVolumeId(request.volume_id()));
  if (!request.has_volume_capability()) {
    return Fail(Code::kInvalidArgument, "volume_capability is missing");
  }
  TRY(CheckCapability(request.volume_capability()));
  StringMap attributes = ToMap(request.volume_context());
  VolumeContext context = TRY(VolumeContext::Parse(attributes));
  if (context.scratch_size > 0) TRY(CheckWrites(request.volume_capability()));
  if (IsInlineVolume(request.volume_id(), attributes)) TRY(CheckPodInfo(context, target.pod_uid));
  Credentials credentials = TRY(SelectCredentials(ToMap(request.secrets())));
  int mode = request.volume_capability().access_mode().mode();
  return PublishOrder{.volume_id = request.volume_id(),
                      .target = target,
                      .context = std::move(context),
                      .credentials = std::move(credentials),
                      .readonly = request.readonly(),
                      .single_writer = mode == Mode::SINGLE_NODE_SINGLE_WRITER,
                      .access_mode = mode};
}

}  // namespace weighhouse::csi
