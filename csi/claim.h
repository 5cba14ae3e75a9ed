#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "csi/topology.h"
#include "csi/volume_context.h"
#include "proto/csi.pb.h"

namespace weighhouse::csi {

/// Which nodes may use a claim's volume.
enum class Placement {
  kNode,  ///< the one that made it
  kAny,
};

/// What a StorageClass says of its claims, checked. A value.
struct ClassParameters {
  VolumeContext context;
  bool cached_only = false;                ///< only where the model is complete already
  Placement placement = Placement::kNode;  ///< of claims whose access modes allow either
  StringMap attributes;                    ///< what a volume keeps of it, as it was written

  /// kInvalidArgument for a key or value that has no meaning, and for a class without a model.
  static Result<ClassParameters> Parse(const StringMap& parameters);
};

/// What CreateVolume asks for, checked as far as its words go. A value.
struct Claim {
  std::string name;
  std::string volume_id;
  ClassParameters parameters;
  Credentials credentials;
  std::string claim_namespace;  ///< what the provisioner adds by --extra-create-metadata; or empty
  uint64_t required_bytes = 0;
  uint64_t limit_bytes = 0;  ///< 0: none
  Placement placement = Placement::kNode;
  /// Equal for requests that ask for the same; credentials don't count.
  std::string request_digest;

  /// kInvalidArgument names the field, the value and the way out; kResourceExhausted where the
  /// volume would have to be on other nodes than `node`.
  static Result<Claim> Read(const ::csi::v1::CreateVolumeRequest& request,
                            const NodeTopology& node);
};

/// The id of the volume that CreateVolume makes for `name`, on whichever node: never of the form
/// that kubelet gives to inline volumes.
std::string VolumeIdOf(std::string_view name);

/// False for an id that VolumeIdOf can't have given.
bool IsOurVolumeId(std::string_view volume_id);

}  // namespace weighhouse::csi
