#include "cache-daemon/source/oci/manifest.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/json_text.h"

namespace weighhouse::source::oci {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr size_t kMostAnnotations = 1000;
constexpr size_t kMostManifests = 1000;

std::unexpected<Error> BadDocument(std::string message) {
  return Fail(Code::kInvalidArgument, "the registry's manifest " + std::move(message));
}

Result<Descriptor> ReadDescriptor(const Json& json) {
  Descriptor descriptor{.media_type = TextAt(json, "mediaType"),
                        .artifact_type = TextAt(json, "artifactType"),
                        .digest = TextAt(json, "digest"),
                        .annotations = {}};
  if (!IsManifestDigest(descriptor.digest)) {
    return BadDocument(fmt::format("names '{}' where a sha256 digest belongs: refused",
                                   Printable(descriptor.digest, 80)));
  }
  std::optional<uint64_t> size = SizeAt(json, "size");
  if (!size || *size > kMaxFileBytes) {
    return BadDocument(
        fmt::format("gives {} no size that a file can have: refused", descriptor.digest));
  }
  descriptor.size = *size;
  if (const Json* platform = ValueAt(json, "platform")) {
    descriptor.os = TextAt(*platform, "os");
    descriptor.architecture = TextAt(*platform, "architecture");
  }
  const Json* annotations = ValueAt(json, "annotations");
  if (annotations == nullptr || !annotations->is_object()) return descriptor;
  if (annotations->size() > kMostAnnotations) {
    return BadDocument(
        fmt::format("gives {} over {} annotations: refused", descriptor.digest, kMostAnnotations));
  }
  for (const auto& [name, value] : annotations->items()) {
    if (value.is_string()) descriptor.annotations[name] = value.get_ref<const std::string&>();
  }
  return descriptor;
}

Result<std::vector<Descriptor>> ReadDescriptors(const Json& list, size_t most) {
  std::vector<Descriptor> descriptors;
  if (!list.is_array() || list.size() > most) {
    return BadDocument(fmt::format("has no list where one belongs, or one of over {}", most));
  }
  descriptors.reserve(list.size());
  for (const Json& each : list) {
    Descriptor descriptor = TRY(ReadDescriptor(each));
    descriptors.push_back(std::move(descriptor));
  }
  return descriptors;
}

/// The type that the document gives itself, else that it came with; they must not differ: who
/// reads only one of them would take it for something else.
Result<std::string> TypeOf(const Json& document, std::string_view content_type) {
  std::string came_as(Trim(content_type.substr(0, content_type.find(';'))));
  std::string own = TextAt(document, "mediaType");
  constexpr std::array kKnown = {kOciManifest, kOciIndex, kDockerManifest, kDockerList};
  bool known = std::ranges::find(kKnown, came_as) != kKnown.end();
  if (!own.empty() && known && own != came_as) {
    return BadDocument(fmt::format("calls itself '{}' but came as '{}': refused",
                                   Printable(own, 80), Printable(came_as, 80)));
  }
  return own.empty() ? came_as : own;
}

bool Attests(const Descriptor& descriptor) {
  return (descriptor.os == "unknown" && descriptor.architecture == "unknown") ||
         descriptor.Annotation("vnd.docker.reference.type") == "attestation-manifest";
}

std::string PlatformOf(const Descriptor& descriptor) {
  if (descriptor.os.empty()) return "no platform";
  return Printable(fmt::format("{}/{}", descriptor.os, descriptor.architecture), 60);
}

}  // namespace

const char* const kManifestAccept =
    "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json";

const std::string& Descriptor::Annotation(const std::string& name) const {
  static const std::string kNone;
  auto found = annotations.find(name);
  return found == annotations.end() ? kNone : found->second;
}

Result<Document> ParseDocument(std::string_view text, std::string_view content_type) {
  std::optional<Json> json = ParseObject(text);
  if (!json)
    return BadDocument("is no JSON object, or has more than 100,000 values: is this a registry?");
  std::string type = TRY(TypeOf(*json, content_type));
  const Json* layers = ValueAt(*json, "layers");
  const Json* manifests = ValueAt(*json, "manifests");
  const Json* config = ValueAt(*json, "config");
  bool is_index = type == kOciIndex || type == kDockerList;
  bool is_manifest = type == kOciManifest || type == kDockerManifest;
  // A type of a registry's own making, or none: the shape tells.
  if (!is_index && !is_manifest) {
    is_index = manifests != nullptr;
    is_manifest = layers != nullptr && config != nullptr;
  }
  bool has_index_parts = manifests != nullptr;
  bool has_manifest_parts = layers != nullptr || config != nullptr;
  if (is_index == is_manifest || (has_index_parts && has_manifest_parts)) {
    return BadDocument(
        fmt::format("is neither an image manifest nor an index, or could be taken "
                    "for both (it came as '{}'): refused",
                    Printable(content_type, 80)));
  }
  Document document;
  if (is_index) {
    document.index.emplace();
    if (manifests == nullptr) return document;
    document.index->manifests = TRY(ReadDescriptors(*manifests, kMostManifests));
    return document;
  }
  document.manifest.emplace();
  document.manifest->artifact_type = TextAt(*json, "artifactType");
  if (config != nullptr) {
    document.manifest->config_media_type = TextAt(*config, "mediaType");
    std::string digest = TextAt(*config, "digest");
    if (IsManifestDigest(digest)) document.manifest->config_digest = std::move(digest);
  }
  if (layers == nullptr) return document;
  document.manifest->layers = TRY(ReadDescriptors(*layers, kMaxFiles));
  return document;
}

Result<Descriptor> Choose(const Index& index, std::string_view architecture) {
  std::vector<const Descriptor*> real;
  for (const Descriptor& descriptor : index.manifests) {
    if (!Attests(descriptor)) real.push_back(&descriptor);
  }
  for (const Descriptor* each : real) {
    if (each->os == "linux" && each->architecture == architecture) return *each;
  }
  for (const Descriptor* each : real) {
    if (each->os.empty() && IsModelType(each->artifact_type)) return *each;
  }
  if (real.size() == 1) return *real.front();
  std::set<std::string> platforms;
  for (const Descriptor* each : real) platforms.insert(PlatformOf(*each));
  return Fail(Code::kNotFound,
              fmt::format("the registry's index has {} manifests, of [{}], and none for linux/{}: "
                          "name one of them by its digest, oci://registry/repository@sha256:<hex>",
                          real.size(), Printable(fmt::format("{}", fmt::join(platforms, ", "))),
                          architecture));
}

Result<std::vector<std::string>> ParseDiffIds(std::string_view config, size_t layers) {
  std::vector<std::string> digests;
  std::optional<Json> json = ParseObject(config);
  if (!json) return digests;
  const Json* rootfs = ValueAt(*json, "rootfs");
  const Json* modelfs = ValueAt(*json, "modelfs");
  const Json* list = rootfs != nullptr ? ValueAt(*rootfs, "diff_ids") : nullptr;
  if (list == nullptr && modelfs != nullptr) list = ValueAt(*modelfs, "diffIds");
  if (list == nullptr || !list->is_array() || list->empty()) return digests;
  constexpr size_t kAlgorithm = std::string_view("sha256:").size();
  for (const Json& each : *list) {
    std::string digest = each.is_string() ? each.get<std::string>() : "";
    if (!IsManifestDigest(digest)) {
      return BadDocument("has a configuration with a diff_id that is no sha256 digest: refused");
    }
    digests.push_back(digest.substr(kAlgorithm));
  }
  if (digests.size() == layers) return digests;
  return BadDocument(fmt::format("has {} layers, and its configuration tells of {}: refused",
                                 layers, digests.size()));
}

bool IsModelType(std::string_view media_type) {
  return media_type.starts_with("application/vnd.cncf.model.") ||
         media_type.starts_with("application/vnd.cnai.model.") ||
         media_type.starts_with("application/vnd.kitops.modelkit.") ||
         media_type.starts_with("application/vnd.docker.ai.");
}

std::string_view OwnArchitecture() {
#if defined(__x86_64__)
  return "amd64";
#elif defined(__aarch64__)
  return "arm64";
#else
#error "give Go's name of this architecture"
#endif
}

}  // namespace weighhouse::source::oci
