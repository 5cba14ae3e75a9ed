#pragma once

#include <string>

#include "base/model.h"
#include "base/units.h"
#include "cli/json_text.h"
#include "cli/options.h"
#include "cli/yaml_text.h"

namespace weighhouse::cli {

/// What the objects of `storageclass` are made of.
struct ClaimFacts {
  ModelReference model;
  Layout layout = Layout::kFiles;
  ClaimOptions options;
  std::string commit;           ///< what the revision is now; empty: the source has none
  Bytes model_bytes = 0;        ///< of the files that the patterns select
  Bytes recommended_bytes = 0;  ///< of a claim that holds them
  Bytes limit = 0;              ///< an empty node's; not read with `options.cached_only`
};

/// An array of the StorageClass, the CSIStorageCapacity of nodes that cluster-autoscaler has yet to
/// add (not for `cached_only`: such a node has no model), and the PersistentVolumeClaim. A claim
/// asks for what is recommended, but for no more than an empty node takes. kOutOfRange if an empty
/// node can't hold the model; kInvalidArgument for patterns that a volume's parameters can't say.
Result<Json> MakeClaimObjects(const ClaimFacts& facts);

/// What the lines of one of these objects are for.
YamlComments ClaimComments(const ClaimFacts& facts, const Json& object);

/// "500Gi", "1500Mi", "123": exact, in the largest binary unit that needs no fraction.
std::string Quantity(Bytes bytes);

}  // namespace weighhouse::cli
