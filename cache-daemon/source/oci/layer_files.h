#pragma once

#include <vector>

#include "base/model.h"
#include "cache-daemon/source/oci/manifest.h"

namespace weighhouse::source::oci {

/// What a model's layers are.
struct Layers {
  /// Files as they are, whose digest is the file's sha256: ModelPack's `raw` layers (also under
  /// their older names), ORAS files, Docker Model Runner's layers with a path. Paths are not
  /// checked here (CheckListing).
  std::vector<ListedFile> files;
  /// Tars that aren't compressed: ModelPack's and KitOps' `tar` layers, an ORAS directory.
  std::vector<Descriptor> tars;
};

/// Sorts the layers. kUnimplemented, with the way out, for those of an image and for compressed
/// archives; kInvalidArgument for a layer without a name.
Result<Layers> LayersOf(const Manifest& manifest);

}  // namespace weighhouse::source::oci
