#include "cache-daemon/source/oci/oci_registry.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/oci/layer_files.h"
#include "cache-daemon/source/signed_url.h"

namespace weighhouse::source::oci {
namespace {

/// What registries take for a manifest's longest (distribution-spec, "Pushing Manifests").
constexpr Bytes kManifestLimit = 4 * kMiB;
/// An index in an index in an index.
constexpr int kDeepestIndex = 3;

/// The type of a configuration that stands where there is none.
constexpr std::string_view kEmptyConfig = "application/vnd.oci.empty.v1+json";

/// Begins the identity of a file that is a part of a layer; the layer's digest follows.
constexpr std::string_view kLayerToken = "layer ";
/// Each costs a request or two of every listing.
constexpr size_t kMostTars = 1000;

std::string DigestOf(std::string_view bytes) { return "sha256:" + Digest::Of(bytes).Hex(); }

/// That `bytes` are what `name`, if it is a digest, names.
Result<> CheckNamed(const std::string& name, std::string_view bytes) {
  std::string digest = DigestOf(bytes);
  if (!IsManifestDigest(name) || name == digest) return {};
  return Fail(Code::kDataLoss, fmt::format("digest mismatch of a manifest: want {} got {}: the "
                                           "registry, or a proxy before it, serves other bytes",
                                           name, digest));
}

}  // namespace

OciRegistry::OciRegistry(PlainHttp plain_http, std::shared_ptr<HttpClient> client)
    : registry_(plain_http, std::move(client)) {}

std::string OciRegistry::OriginFor(const ModelReference& reference, const Credentials&) const {
  Result<ImageName> image = ImageName::Of(reference);
  if (!image) return "";
  std::optional<Url> registry = registry_.LastReached(image->registry);
  return registry ? fmt::format("oci+{}/{}", registry->Origin(), image->repository) : "";
}

Result<Listing> OciRegistry::Resolve(const ModelReference& reference,
                                     const Credentials& credentials, std::stop_token stop) {
  ImageName image = TRY(ImageName::Of(reference));
  RegistryAsker asker = TRY(registry_.MakeAsker(image, credentials, stop));
  Found found = TRY(FindManifest(asker, reference.RevisionOrDefault(), stop));
  Listing listing{.origin = fmt::format("oci+{}/{}", asker.registry.Origin(), image.repository),
                  .revision = found.digest,
                  .anonymous = asker.login.empty()};
  TRY(ListLayers(asker, found.manifest, listing, std::move(stop)));
  std::ranges::sort(listing.files);
  // What other layers hold is checked when it is known.
  bool has_files = listing.packed.empty() || !listing.files.empty();
  if (has_files) TRY(CheckListing(listing));
  return listing;
}

Result<> OciRegistry::ListLayers(const RegistryAsker& asker, const Manifest& manifest,
                                 Listing& listing, std::stop_token stop) {
  Layers layers = TRY(LayersOf(manifest));
  if (layers.archives.size() > kMostTars) {
    return Fail(
        Code::kUnimplemented,
        fmt::format("the model has {} tar layers: at most {} are served; raw layers have no limit",
                    layers.archives.size(), kMostTars));
  }
  listing.files = std::move(layers.files);
  std::vector<size_t> indexes;
  for (Layers::Archive& archive : layers.archives) {
    std::optional<ListedFile> only;
    if (archive.plain) only = TRY(OneFileOf(asker, archive.layer, stop));
    if (only) {
      listing.files.push_back(*std::move(only));
      continue;
    }
    indexes.push_back(archive.index);
    listing.packed.push_back(std::move(archive.layer));
  }
  if (listing.packed.empty()) return {};
  std::vector<std::string> diff_ids = TRY(FindDiffIds(asker, manifest, std::move(stop)));
  if (diff_ids.empty()) return {};
  for (size_t i = 0; i < indexes.size(); ++i) listing.packed[i].diff_id = diff_ids[indexes[i]];
  return {};
}

Result<std::optional<ListedFile>> OciRegistry::OneFileOf(const RegistryAsker& asker,
                                                         const PackedLayer& layer,
                                                         std::stop_token stop) {
  std::string digest = "sha256:" + layer.digest;
  Result<TarLayer> tar = tars_.Find(asker, digest, std::move(stop));
  if (!tar && tar.error().code == Code::kUnimplemented) return std::nullopt;
  if (!tar) return std::unexpected(std::move(tar).error());
  if (tar->LayerBytes() != layer.size) {
    return Fail(Code::kInvalidArgument,
                fmt::format("layer {} has {} bytes by the manifest, and {} at the registry", digest,
                            layer.size, tar->LayerBytes()));
  }
  return ListedFile{
      .path = tar->place.path,
      .size = tar->place.bytes.size(),
      .identity = {FileIdentity::Kind::kVersionToken, fmt::format("{}{}", kLayerToken, digest)}};
}

Result<std::vector<std::string>> OciRegistry::FindDiffIds(const RegistryAsker& asker,
                                                          const Manifest& manifest,
                                                          std::stop_token stop) {
  const std::string& digest = manifest.config_digest;
  if (digest.empty() || manifest.config_media_type == kEmptyConfig) {
    return std::vector<std::string>();
  }
  RegistryClient::Request request{.path = "/blobs/" + digest,
                                  .what = "configuration " + digest,
                                  .headers = {},
                                  .body_limit = kManifestLimit};
  RegistryClient::Answer answer = TRY(registry_.Get(asker, request, std::move(stop)));
  const std::string& config = answer.reply.response.body;
  TRY(CheckNamed(digest, config));
  return ParseDiffIds(config, manifest.layers.size());
}

Result<OciRegistry::Found> OciRegistry::FindManifest(const RegistryAsker& asker,
                                                     const std::string& name,
                                                     std::stop_token stop) {
  std::string wanted = name;
  for (int depth = 0; depth <= kDeepestIndex; ++depth) {
    RegistryClient::Request request{.path = "/manifests/" + wanted,
                                    .what = "manifest " + wanted,
                                    .headers = {kManifestAccept},
                                    .body_limit = kManifestLimit};
    RegistryClient::Answer answer = TRY(registry_.Get(asker, request, stop));
    const HttpResponse& response = answer.reply.response;
    TRY(CheckNamed(wanted, response.body));
    Document document = TRY(ParseDocument(response.body, response.headers.Find("content-type")));
    if (document.manifest) {
      return Found{.manifest = *std::move(document.manifest), .digest = DigestOf(response.body)};
    }
    Descriptor chosen = TRY(Choose(*document.index, OwnArchitecture()));
    wanted = chosen.digest;
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("oci://{}/{}: indexes within indexes, over {} deep: refused",
                          asker.image.registry, asker.image.repository, kDeepestIndex));
}

Result<FileLocation> OciRegistry::Locate(const ModelReference& reference, const Listing&,
                                         const ListedFile& file, const Credentials& credentials,
                                         std::stop_token stop) {
  ImageName image = TRY(ImageName::Of(reference));
  RegistryAsker asker = TRY(registry_.MakeAsker(image, credentials, stop));
  std::optional<TarLayer> tar = TRY(FindInTar(asker, file, stop));
  std::string digest = "sha256:" + (tar ? tar->around->sha256 : file.identity.value);
  Bytes blob_size = tar ? tar->LayerBytes() : file.size;
  RegistryClient::Request request{.path = "/blobs/" + digest,
                                  .what = "blob " + digest,
                                  .headers = {},
                                  // Of an empty file no first byte could be asked for.
                                  .body_limit = 0,
                                  .other_origin = RedirectedRequest::OtherOrigin::kStop};
  // HEAD is not asked: some registries answer it themselves, and send a GET elsewhere.
  if (blob_size > 0) request.headers = {"Range: bytes=0-0"};
  RegistryClient::Answer answer = TRY(registry_.Get(asker, request, std::move(stop)));
  const RedirectedResponse& reply = answer.reply;
  FileLocation location{.url = reply.url.ToString()};
  if (tar) location.enclosure = tar->around;
  if (reply.left_origin) {
    location.expires_at = SignedUrlDeadline(reply.url);
    return location;
  }
  std::optional<Bytes> size = WholeSize(reply.response.headers);
  if (size && *size != blob_size) {
    return Fail(Code::kOutOfRange,
                fmt::format("{}: blob {} has {} bytes by the manifest, and {} at the registry",
                            Printable(file.path), digest, blob_size, *size));
  }
  location.headers = answer.authorization.headers;
  location.authorised = !asker.login.empty();
  location.expires_at = answer.authorization.expires_at;
  return location;
}

Result<std::optional<TarLayer>> OciRegistry::FindInTar(const RegistryAsker& asker,
                                                       const ListedFile& file,
                                                       std::stop_token stop) {
  if (file.identity.kind == FileIdentity::Kind::kSha256) return std::nullopt;
  std::string digest =
      file.identity.value.substr(std::min(kLayerToken.size(), file.identity.value.size()));
  if (!file.identity.value.starts_with(kLayerToken) || !IsManifestDigest(digest)) {
    return Fail(Code::kOutOfRange,
                fmt::format("{}: '{}' is no layer's identity", Printable(file.path),
                            Printable(file.identity.value)));
  }
  TarLayer tar = TRY(tars_.Find(asker, digest, std::move(stop)));
  if (tar.place.path == file.path && tar.place.bytes.size() == file.size) return std::optional(tar);
  return Fail(Code::kOutOfRange,
              fmt::format("{}: the registry has something else in layer {} than before",
                          Printable(file.path), digest));
}

}  // namespace weighhouse::source::oci
