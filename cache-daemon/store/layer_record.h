#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/packed_layer.h"

namespace weighhouse::store {

/// Whose a layer is: a digest alone is no key to what another's private layer holds.
struct LayerOrigin {
  std::string origin;  ///< Listing::origin
  bool anonymous = false;
};

/// One thing that a layer says of the tree.
struct LayerEntry {
  enum class Kind {
    kFile,
    kWhiteout,  ///< nothing of that name, file or directory, is left of the layers below
    kOpaque,    ///< nothing in the directory of that name is ("": in any)
  };
  Kind kind = Kind::kFile;
  std::string path;  ///< without the layer's prefix
  Bytes size = 0;    ///< of a file
  bool operator==(const LayerEntry&) const = default;
};

/// Which files a layer holds, in its order.
struct LayerRecord {
  std::string digest;
  std::string diff_id;  ///< found; never empty
  std::string prefix;   ///< what it was read with: PackedLayer::prefix
  std::vector<LayerEntry> entries;
  bool operator==(const LayerRecord&) const = default;
};

/// With a checksum at its end: a record that was half written is none.
std::string LayerRecordToText(const LayerRecord& record);
/// kDataLoss says what is wrong.
Result<LayerRecord> ParseLayerRecord(std::string_view text);

/// The name of a layer's record. Public origins share theirs.
std::string LayerRecordId(const LayerOrigin& origin, const std::string& digest,
                          const std::string& prefix);

}  // namespace weighhouse::store
