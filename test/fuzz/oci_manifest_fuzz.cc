// A registry's manifest or index; in the first line the type that it came with. Also an image's
// configuration, and the body of an error.

#include <algorithm>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/oci/layer_files.h"
#include "cache-daemon/source/oci/manifest.h"
#include "cache-daemon/source/oci/registry_errors.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source::oci {
namespace {

void CheckDescriptor(const Descriptor& descriptor) {
  CHECK(descriptor.digest.starts_with("sha256:"));
  CHECK(IsHex(std::string_view(descriptor.digest).substr(7), 64));
  CHECK(descriptor.size <= kMaxFileBytes);
}

void CheckLayers(const Manifest& manifest) {
  CHECK(manifest.layers.size() <= kMaxFiles);
  std::ranges::for_each(manifest.layers, CheckDescriptor);
  Result<Layers> layers = LayersOf(manifest);
  if (!layers) {
    CHECK(layers.error().code == Code::kUnimplemented ||
          layers.error().code == Code::kInvalidArgument);
    CHECK(layers.error().message.size() < 2000);
    return;
  }
  CHECK(layers->files.size() + layers->archives.size() <= manifest.layers.size());
  for (const ListedFile& file : layers->files) {
    CHECK(!file.path.empty() && file.identity.kind == FileIdentity::Kind::kSha256);
    // The layer's digest is the file's: nobody else's is taken for it.
    auto same = [&](const Descriptor& layer) {
      return layer.digest == "sha256:" + file.identity.value && layer.size == file.size;
    };
    CHECK(std::ranges::any_of(manifest.layers, same));
  }
}

void CheckChoice(const Index& index) {
  std::ranges::for_each(index.manifests, CheckDescriptor);
  Result<Descriptor> chosen = Choose(index, "amd64");
  if (!chosen) {
    CHECK(chosen.error().code == Code::kNotFound && chosen.error().message.size() < 2000);
    return;
  }
  CHECK(std::ranges::count(index.manifests, chosen->digest, &Descriptor::digest) > 0);
}

void CheckDiffIds(std::string_view config) {
  size_t layers = fuzz::TakeByte(config) % 8;
  Result<std::vector<std::string>> ids = ParseDiffIds(config, layers);
  if (!ids) {
    CHECK(ids.error().code == Code::kInvalidArgument && ids.error().message.size() < 2000);
    return;
  }
  CHECK(ids->empty() || ids->size() == layers);
  for (const std::string& id : *ids) CHECK(IsHex(id, 64));
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(oci_manifest, bytes) {
  std::string_view text = bytes;
  if (text.starts_with("config ")) return CheckDiffIds(text.substr(7));
  if (text.starts_with("error ")) {
    std::string said = WithoutSecrets(RegistryErrorText(text.substr(6)), "", {});
    CHECK(said.size() < 2000 && Printable(said, 2000) == said);
    return;
  }
  std::string_view content_type = fuzz::TakeUntil(text, '\n');
  Result<Document> document = ParseDocument(text, content_type);
  if (!document) {
    CHECK(document.error().code == Code::kInvalidArgument);
    CHECK(document.error().message.size() < 2000);
    return;
  }
  // What could be taken for both is how one digest gets two meanings.
  CHECK(document->manifest.has_value() != document->index.has_value());
  if (document->manifest) CheckLayers(*document->manifest);
  if (document->index) CheckChoice(*document->index);
}

}  // namespace weighhouse::source::oci
