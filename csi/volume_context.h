#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/model.h"
#include "base/units.h"

namespace weighhouse::csi {

using StringMap = std::map<std::string, std::string>;

/// What the attributes of a volume say, checked. A value.
struct VolumeContext {
  ModelReference model;
  Layout layout = Layout::kFiles;
  /// With `access: scratch`, how much the pod may write to a layer of its own; else 0.
  Bytes scratch_size = 0;
  /// What kubelet adds with podInfoOnMount; empty without.
  std::string pod_namespace, pod_name, pod_uid;

  /// Reads `attributes` (a volume's volumeAttributes with what kubelet and the sidecars added).
  /// Keys below `csi.storage.k8s.io/` and `storage.kubernetes.io/` are theirs; any other key that
  /// isn't a parameter of ours is kInvalidArgument and named with the nearest one. So are a missing
  /// `model`, a malformed value, and more than base/volume_limits.h allows. `commit` is what
  /// CreateVolume wrote: what `revision` meant then.
  static Result<VolumeContext> Parse(const StringMap& attributes);
};

/// Where parameters are written.
enum class ParameterPlace {
  kVolume,  ///< a volume's attributes: a pod's spec, a static volume, or what CreateVolume said
  kStorageClass,  ///< a StorageClass, which also says where its claims are provisioned
};

/// True for a key of kubelet's or the sidecars'.
bool IsForeignKey(std::string_view key);

/// Refuses keys that have no meaning at `place`, by name and with the nearest that has one, and
/// more parameters than base/volume_limits.h allows (kInvalidArgument).
Result<> CheckParameters(const StringMap& parameters, ParameterPlace place);

/// True for a volume written in a pod's spec: kubelet says so, or its id has the form that kubelet
/// gives those
/// (`csi-` and 64 hexadecimal digits). Such attributes are a tenant's words.
bool IsInlineVolume(std::string_view volume_id, const StringMap& attributes);

/// Refuses an inline volume without the pod's name, namespace and uid (kFailedPrecondition: the
/// CSIDriver object lacks `podInfoOnMount: true`, and then a pod's author could write these keys),
/// or with another uid than the one in the target's path, which the author can't have known.
Result<> CheckPodInfo(const VolumeContext& context, std::string_view target_pod_uid);

/// The keys of a secret that a source may need; the rest stays with us. A secret that has none of
/// them is kInvalidArgument and says which it has: without it the model would only seem to be
/// missing.
Result<Credentials> SelectCredentials(const StringMap& secrets);

}  // namespace weighhouse::csi
