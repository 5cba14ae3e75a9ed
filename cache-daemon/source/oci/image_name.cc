#include "cache-daemon/source/oci/image_name.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source::oci {
namespace {

constexpr std::string_view kScheme = "oci://";
constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDockerHubRegistry = "registry-1.docker.io";

}  // namespace

Result<ImageName> ImageName::Of(const ModelReference& reference) {
  std::string_view uri = reference.uri;
  size_t slash = uri.find('/', std::min(kScheme.size(), uri.size()));
  if (!uri.starts_with(kScheme) || slash == std::string_view::npos) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' is not a model of a registry: give oci://registry/repository",
                            Printable(uri)));
  }
  ImageName name{.registry = std::string(uri.substr(kScheme.size(), slash - kScheme.size())),
                 .repository = std::string(uri.substr(slash + 1))};
  if (CredentialHost(name.registry) != kDockerHub) return name;
  name.registry = kDockerHubRegistry;
  if (!name.repository.contains('/')) name.repository.insert(0, "library/");
  return name;
}

std::string CredentialHost(const std::string& registry) {
  constexpr std::array kHubNames = {"docker.io", "index.docker.io", "registry-1.docker.io"};
  bool is_hub = std::ranges::find(kHubNames, registry) != kHubNames.end();
  return is_hub ? std::string(kDockerHub) : registry;
}

}  // namespace weighhouse::source::oci
