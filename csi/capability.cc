#include "csi/capability.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::csi {
namespace {

using Mode = ::csi::v1::VolumeCapability_AccessMode;

/// What every volume is anyway, and what is harmless to ask for.
constexpr std::array<std::string_view, 7> kMountFlags = {
    "ro", "nosuid", "nodev", "noexec", "noatime", "relatime", "nodiratime"};

}  // namespace

Result<> CheckCapability(const ::csi::v1::VolumeCapability& capability) {
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
                fmt::format("mount option `{}` has no effect here: a volume is always mounted "
                            "nosuid, nodev and noexec, and ro unless it has `access: scratch`; "
                            "remove it",
                            Printable(flag, 80)));
  }
  return {};
}

Result<> CheckWrites(const ::csi::v1::VolumeCapability& capability) {
  switch (capability.access_mode().mode()) {
    case Mode::SINGLE_NODE_READER_ONLY:
    case Mode::MULTI_NODE_READER_ONLY:
      return Fail(Code::kInvalidArgument,
                  "`access: scratch` lets pods write, and the access mode (ReadOnlyMany) only lets "
                  "them read: ask for ReadWriteMany or ReadWriteOnce, or set `access: readOnly`");
    default:
      break;
  }
  const auto& flags = capability.mount().mount_flags();
  if (std::ranges::find(flags, "ro") == flags.end()) return {};
  return Fail(Code::kInvalidArgument,
              "`access: scratch` lets pods write, and the mount option `ro` forbids it: remove "
              "`ro` from `mountOptions`, or set `access: readOnly`");
}

bool IsMultiNode(const ::csi::v1::VolumeCapability& capability) {
  switch (capability.access_mode().mode()) {
    case Mode::MULTI_NODE_READER_ONLY:
    case Mode::MULTI_NODE_SINGLE_WRITER:
    case Mode::MULTI_NODE_MULTI_WRITER:
      return true;
    default:
      return false;
  }
}

}  // namespace weighhouse::csi
