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
/// Families whose media types say how a layer is packed.
constexpr std::array<std::string_view, 4> kModelFamilies = {
    "application/vnd.cncf.model.", "application/vnd.cnai.model.",
    "application/vnd.kitops.modelkit.", "application/vnd.docker.ai."};
constexpr std::array<std::string_view, 2> kImageLayers = {"application/vnd.oci.image.layer.",
                                                          "application/vnd.docker.image.rootfs."};

template <size_t kCount>
bool BeginsWithOneOf(std::string_view text, const std::array<std::string_view, kCount>& prefixes) {
  return std::ranges::any_of(prefixes,
                             [&](std::string_view prefix) { return text.starts_with(prefix); });
}

enum class Packing { kFile, kTar, kOther };

/// By the media type: `….tar`, `….tar+gzip`, `….tar.gzip`, or none of them.
Packing ArchiveOf(std::string_view media_type) {
  if (media_type.ends_with(".tar")) return Packing::kTar;
  size_t tar = media_type.rfind(".tar");
  bool packed = tar != std::string_view::npos && tar + 4 < media_type.size() &&
                std::string_view("+.").contains(media_type[tar + 4]);
  return packed ? Packing::kOther : Packing::kFile;
}

Packing PackingOf(const Descriptor& layer) {
  if (BeginsWithOneOf(layer.media_type, kModelFamilies)) {
    return ArchiveOf(layer.media_type);
  }
  // `oras push` gives files the media type of an image's layer: what it names is a file.
  if (!layer.Annotation(kTitle).empty()) {
    if (layer.Annotation(kUnpack) != "true") return Packing::kFile;
    return ArchiveOf(layer.media_type) == Packing::kTar ? Packing::kTar : Packing::kOther;
  }
  return BeginsWithOneOf(layer.media_type, kImageLayers) ? Packing::kOther : Packing::kFile;
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

}  // namespace

Result<Layers> LayersOf(const Manifest& manifest) {
  Layers layers;
  for (const Descriptor& layer : manifest.layers) {
    if (layer.media_type == kEmptyLayer) continue;
    Packing packing = PackingOf(layer);
    if (packing == Packing::kOther) {
      return Fail(
          Code::kUnimplemented,
          fmt::format("layer {} ({}) is compressed, or of an image, which is not served yet: "
                      "package the model with its files as raw layers (`modctl build "
                      "--raw`, or `oras push` with files in place of directories)",
                      layer.digest, Printable(layer.media_type, 100)));
    }
    if (packing == Packing::kTar) {
      layers.tars.push_back(layer);
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
    constexpr size_t kAlgorithm = std::string_view("sha256:").size();
    layers.files.push_back(
        {.path = std::move(path),
         .size = layer.size,
         .identity = {FileIdentity::Kind::kSha256, layer.digest.substr(kAlgorithm)}});
  }
  return layers;
}

}  // namespace weighhouse::source::oci
