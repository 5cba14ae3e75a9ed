#include "cache-daemon/source/oci/layer_files.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source::oci {
namespace {

/// What stands in the place of a layer where a manifest has none.
constexpr std::string_view kEmptyLayer = "application/vnd.oci.empty.v1+json";
constexpr const char* kTitle = "org.opencontainers.image.title";
constexpr const char* kUnpack = "io.deis.oras.content.unpack";
/// The names of ModelPack's annotation, the present one first.
constexpr std::array kPathAnnotations = {"org.cncf.model.filepath", "org.cnai.model.filepath"};
constexpr std::array<std::string_view, 2> kImageLayers = {"application/vnd.oci.image.layer.",
                                                          "application/vnd.docker.image.rootfs."};

bool IsImageLayer(std::string_view media_type) {
  return std::ranges::any_of(
      kImageLayers, [&](std::string_view prefix) { return media_type.starts_with(prefix); });
}

enum class Packing {
  kFile,
  kTar,
  kCompressed,  ///< a tar that may be compressed: its bytes tell
  kImage,       ///< an image's tar, compressed or not
};

/// By the media type: `….tar`, `….tar+gzip`, `….tar.gzip`, or none of them.
Packing ArchiveOf(std::string_view media_type) {
  if (media_type.ends_with(".tar")) return Packing::kTar;
  size_t tar = media_type.rfind(".tar");
  bool packed = tar != std::string_view::npos && tar + 4 < media_type.size() &&
                std::string_view("+.").contains(media_type[tar + 4]);
  return packed ? Packing::kCompressed : Packing::kFile;
}

Packing PackingOf(const Descriptor& layer) {
  // Of those, the media type says how a layer is packed.
  if (IsModelType(layer.media_type)) return ArchiveOf(layer.media_type);
  // `oras push` gives files the media type of an image's layer: what it names is a file.
  if (!layer.Annotation(kTitle).empty()) {
    if (layer.Annotation(kUnpack) != "true") return Packing::kFile;
    return ArchiveOf(layer.media_type) == Packing::kTar ? Packing::kTar : Packing::kCompressed;
  }
  return IsImageLayer(layer.media_type) ? Packing::kImage : Packing::kFile;
}

std::string PathOf(const Descriptor& layer) {
  std::string path;
  for (const char* name : kPathAnnotations) {
    if (path.empty()) path = layer.Annotation(name);
  }
  if (path.empty()) path = layer.Annotation(kTitle);
  while (path.starts_with("./")) path.erase(0, 2);
  return path;
}

std::string HexOf(const Descriptor& layer) {
  constexpr size_t kAlgorithm = std::string_view("sha256:").size();
  return layer.digest.substr(kAlgorithm);
}

}  // namespace

const char* const kImagePrefix = "models/";

Result<Layers> LayersOf(const Manifest& manifest) {
  Layers layers;
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    const Descriptor& layer = manifest.layers[i];
    if (layer.media_type == kEmptyLayer) continue;
    Packing packing = PackingOf(layer);
    if (packing != Packing::kFile) {
      std::string prefix = packing == Packing::kImage ? kImagePrefix : "";
      layers.archives.push_back(
          {.layer = {.digest = HexOf(layer), .size = layer.size, .diff_id = {}, .prefix = prefix},
           .index = i,
           .plain = packing == Packing::kTar});
      continue;
    }
    std::string path = PathOf(layer);
    if (path.empty()) {
      return Fail(
          Code::kInvalidArgument,
          fmt::format("layer {} ({}) has no file name: neither the annotation {} nor {} is "
                      "there; package the model with a tool that names its files",
                      layer.digest, Printable(layer.media_type, 100), kPathAnnotations[0], kTitle));
    }
    layers.files.push_back({.path = std::move(path),
                            .size = layer.size,
                            .identity = {FileIdentity::Kind::kSha256, HexOf(layer)}});
  }
  return layers;
}

}  // namespace weighhouse::source::oci
