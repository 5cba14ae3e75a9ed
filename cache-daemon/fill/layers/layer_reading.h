#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/digest.h"
#include "base/packed_layer.h"
#include "cache-daemon/fill/byte_source.h"
#include "cache-daemon/fill/layers/layer_room.h"
#include "cache-daemon/fill/layers/staged_writer.h"
#include "cache-daemon/fill/layers/tar_reader.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::fill {

/// A file that a layer's reading left, sealed, and what it is.
struct StagedEntry {
  std::unique_ptr<store::Ingest> ingest;
  Bytes size = 0;
  Digest sha256;
};

/// What came of a layer that proved right.
struct ReadLayer {
  store::LayerRecord record;
  std::map<std::string, StagedEntry> staged;  ///< by LayerEntry::path
};

/// Reads one layer from its first byte to its last: bytes, sha256, decompression, sha256 again,
/// tar, and from there each file straight into its ingest. No file is kept that is not asked for,
/// nothing else is stored, and no more of the layer is in memory than a few buffers. One thread's,
/// once.
class LayerReading {
 public:
  struct Parts {
    store::Store& store;
    StagedWriter& writer;
    LayerRoom& room;
  };
  /// `origin`: whose layer it is. `wanted`: the files that are kept, by LayerEntry::path;
  /// unset: all.
  LayerReading(const Parts& parts, store::LayerOrigin origin, PackedLayer layer,
               std::optional<std::set<std::string>> wanted)
      : parts_(parts),
        origin_(std::move(origin)),
        layer_(std::move(layer)),
        wanted_(std::move(wanted)) {}

  /// `bytes`: the blob's; the first are at least four. What failed leaves nothing. Errors: the
  /// stream's and the store's; kDataLoss where the blob or what it unpacks to has another digest
  /// than the model says; kInvalidArgument for what JudgeEntry refuses, for what is no such
  /// archive, and for one that unpacks to more than 256 times its size and 64 MiB.
  Result<ReadLayer> Run(const ByteSource& bytes);

 private:
  Result<> ReadEntries(TarReader& tar);
  Result<> Take(const store::LayerEntry& entry, TarReader& tar);
  Result<> CheckDigests(const std::string& blob, const std::string& diff_id) const;

  const Parts parts_;
  const store::LayerOrigin origin_;
  const PackedLayer layer_;
  const std::optional<std::set<std::string>> wanted_;
  ReadLayer read_;
};

}  // namespace weighhouse::fill
