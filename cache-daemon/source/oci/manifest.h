#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/model.h"

namespace weighhouse::source::oci {

/// What an index or a manifest says of something else (image-spec, descriptor.md).
struct Descriptor {
  std::string media_type;
  std::string artifact_type;
  std::string digest;  ///< `sha256:` and 64 hex digits
  Bytes size = 0;
  std::map<std::string, std::string> annotations;
  std::string os;            ///< "" without a platform
  std::string architecture;  ///< "" without a platform

  const std::string& Annotation(const std::string& name) const;
};

/// A document that lists layers.
struct Manifest {
  std::string artifact_type;      ///< "" if none is named
  std::string config_media_type;  ///< "" without a config
  std::string config_digest;      ///< of the configuration; "" where it has none that can be read
  std::vector<Descriptor> layers;
};

/// A document that lists manifests, or further indexes.
struct Index {
  std::vector<Descriptor> manifests;
};

/// What a registry is asked for in the place of a manifest (all it may have: some answer 404 to who
/// doesn't take what they have).
extern const char* const kManifestAccept;

/// What `text`, that came as `content_type`, is: a manifest, or else an index. kInvalidArgument for
/// what is neither, or could be taken for both; for digests that aren't sha256, sizes that no file
/// has, and more than kMaxFiles layers.
struct Document {
  std::optional<Manifest> manifest;
  std::optional<Index> index;
};
Result<Document> ParseDocument(std::string_view text, std::string_view content_type);

/// The one of `index` that a node of `architecture` (Go's name, such as amd64) takes: that of
/// linux and the architecture; else, of those without a platform, the first whose artifact type is
/// a model's; else the only one that there is, whatever it is for (weights are the same for all).
/// What only attests another manifest is passed over. kNotFound names what there is.
Result<Descriptor> Choose(const Index& index, std::string_view architecture);

/// The sha256 of each layer's tar, in the layers' order, as a configuration tells: an image's
/// (image-spec, config.md: `rootfs`) or a ModelPack's (`modelfs`); 64 digits. Empty: it doesn't.
/// kInvalidArgument for a list that can't be that of so many layers.
Result<std::vector<std::string>> ParseDiffIds(std::string_view config, size_t layers);

/// Whether an artifact's or a layer's media type is one of those that packaged models have.
bool IsModelType(std::string_view media_type);

/// Go's name of this machine's architecture.
std::string_view OwnArchitecture();

}  // namespace weighhouse::source::oci
