#pragma once

#include <vector>

#include "base/model.h"
#include "base/packed_layer.h"
#include "cache-daemon/source/oci/manifest.h"

namespace weighhouse::source::oci {

/// What a model's layers are.
struct Layers {
  /// Files as they are, whose digest is the file's sha256: ModelPack's `raw` layers (also under
  /// their older names), ORAS files, Docker Model Runner's layers with a path. Paths are not
  /// checked here (CheckListing).
  std::vector<ListedFile> files;
  /// All others, in their order, without a diff_id.
  struct Archive {
    PackedLayer layer;
    size_t index = 0;  ///< among the manifest's layers
    /// It isn't compressed and not of an image: ModelPack's and KitOps' `tar` layers, an ORAS
    /// directory. Where it holds one file, that can be had without the rest.
    bool plain = false;
  };
  std::vector<Archive> archives;
};

/// Where an image has a model: "models/".
extern const char* const kImagePrefix;

/// Sorts the layers. kInvalidArgument for a layer without a name.
Result<Layers> LayersOf(const Manifest& manifest);

}  // namespace weighhouse::source::oci
