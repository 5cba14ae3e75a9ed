#include "csi/publish_request.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::csi {
namespace {

using Mode = ::csi::v1::VolumeCapability_AccessMode;

/// What every volume is anyway, and what is harmless to ask for.
constexpr std::array<std::string_view, 7> kMountFlags = {
    "ro", "nosuid", "nodev", "noexec", "noatime", "relatime", "nodiratime"};

StringMap ToMap(const google::protobuf::Map<std::string, std::string>& map) {
  return {map.begin(), map.end()};
}

Result<> CheckCapability(const ::csi::v1::NodePublishVolumeRequest& request) {
  const ::csi::v1::VolumeCapability& capability = request.volume_capability();
  if (!request.has_volume_capability()) {
    return Fail(Code::kInvalidArgument, "volume_capability is missing");
  }
  if (capability.has_block()) {
    return Fail(Code::kInvalidArgument,
                "volume_capability: a model is files, not a block device: use `volumeMode: "
                "Filesystem`");
  }
  if (!capability.has_mount()) {
    return Fail(Code::kInvalidArgument, "volume_capability: access_type is missing");
  }
  int mode = capability.access_mode().mode();
  if (mode == Mode::UNKNOWN || !Mode::Mode_IsValid(mode)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("volume_capability: access_mode {} is unknown", mode));
  }
  for (const std::string& flag : capability.mount().mount_flags()) {
    if (std::ranges::find(kMountFlags, flag) != kMountFlags.end()) continue;
    return Fail(Code::kInvalidArgument,
                fmt::format("mount option `{}` has no effect here: a model is always mounted ro, "
                            "nosuid, nodev, noexec; remove it",
                            Printable(flag, 80)));
  }
  return {};
}

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
  TRY(CheckCapability(request));
  StringMap attributes = ToMap(request.volume_context());
  VolumeContext context = TRY(VolumeContext::Parse(attributes));
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
