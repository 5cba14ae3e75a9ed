#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/units.h"

namespace weighhouse {

/// A layer of an OCI image or artifact whose files are known only once it has been read from its
/// first byte to its last: a tar of several files, or one that is compressed.
struct PackedLayer {
  std::string digest;  ///< sha256 of the blob as the registry has it, 64 hexadecimal digits
  Bytes size = 0;      ///< of the blob
  /// sha256 of the tar within (image-spec, config.md, "diff_ids"); empty: the model says none.
  std::string diff_id;
  /// Set of an image's layers, such as `models/`: what lies below is the model, without the prefix,
  /// and whiteouts count. Empty: all of it is, as it is.
  std::string prefix;
  auto operator<=>(const PackedLayer&) const = default;
};

/// A file by its place: in which layer, under which name there.
struct LayerPlace {
  std::string digest;
  Bytes size = 0;      ///< of the layer
  std::string prefix;  ///< PackedLayer::prefix
  std::string path;    ///< behind the prefix
  bool operator==(const LayerPlace&) const = default;

  /// The version token that such a file is listed with: with it the file can be read again, whoever
  /// remembers what of the layer.
  std::string ToToken() const;
  /// Nothing for what ToToken doesn't give.
  static std::optional<LayerPlace> Parse(std::string_view token);
};

}  // namespace weighhouse
