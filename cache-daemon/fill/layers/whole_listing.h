#pragma once

#include <vector>

#include "base/model.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::fill {

/// A layer whose files are known.
struct KnownLayer {
  PackedLayer layer;
  store::LayerRecord record;
};

/// What the layers, the lowest first, show together: later files take the place of earlier ones,
/// and whiteouts hide what is below their own layer (image-spec, layer.md). Sorted by path.
std::vector<ListedFile> Overlay(const std::vector<KnownLayer>& layers);

/// `listing` with the files of its layers, as far as the store knows what they are: `packed` is
/// empty then, and the listing checked (CheckListing). As it is, where one is not known.
Result<Listing> WithLayers(const store::Store& store, Listing listing);

}  // namespace weighhouse::fill
