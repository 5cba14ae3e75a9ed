#include "csi/claim.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/text.h"
#include "csi/capability.h"
#include "csi/wire_map.h"

namespace weighhouse::csi {
namespace {

constexpr std::string_view kIdPrefix = "wh-";
constexpr size_t kIdDigits = 40;
constexpr size_t kMaxName = 128;  // CSI specification, "Size Limits"

/// Takes `key` out of `parameters`: its value, trimmed, or "".
std::string Take(StringMap& parameters, const std::string& key) {
  auto taken = parameters.extract(key);
  return taken.empty() ? "" : std::string(Trim(taken.mapped()));
}

/// True for `second`, false for `first` or nothing.
Result<bool> ParseEither(std::string_view key, std::string_view value, std::string_view first,
                         std::string_view second) {
  if (value.empty() || value == first) return false;
  if (value == second) return true;
  return Fail(Code::kInvalidArgument, fmt::format("{} `{}`: give \"{}\" or \"{}\"", key,
                                                  Printable(value, 80), first, second));
}

/// Appends fields such that different lists of fields never give the same text.
class Fields {
 public:
  void Add(std::string_view field) { text_ += fmt::format("{}:{}", field.size(), field); }
  void Add(int64_t number) { Add(fmt::format("{}", number)); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// A capability in words that don't depend on the order of its mount options.
std::string Describe(const ::csi::v1::VolumeCapability& capability) {
  const auto& mount = capability.mount();
  std::vector<std::string> flags(mount.mount_flags().begin(), mount.mount_flags().end());
  std::ranges::sort(flags);
  Fields fields;
  fields.Add(capability.access_mode().mode());
  fields.Add(mount.fs_type());
  fields.Add(mount.volume_mount_group());
  for (const std::string& flag : flags) fields.Add(flag);
  return fields.text();
}

std::string DigestOf(const ::csi::v1::CreateVolumeRequest& request, Placement placement,
                     const NodeTopology& node) {
  Fields fields;
  fields.Add(request.name());
  fields.Add(request.capacity_range().required_bytes());
  fields.Add(request.capacity_range().limit_bytes());
  fields.Add(placement == Placement::kAny ? "" : node.key + "=" + node.value);
  std::vector<std::string> capabilities;
  for (const auto& capability : request.volume_capabilities()) {
    capabilities.push_back(Describe(capability));
  }
  std::ranges::sort(capabilities);
  fields.Add(static_cast<int64_t>(capabilities.size()));
  for (const std::string& capability : capabilities) fields.Add(capability);
  for (const auto& [key, value] : ToMap(request.parameters())) {
    if (IsForeignKey(key)) continue;
    fields.Add(key);
    fields.Add(value);
  }
  return Digest::Of(fields.text()).Hex();
}

Result<> CheckName(const std::string& name) {
  if (name.empty()) return Fail(Code::kInvalidArgument, "name is missing");
  if (name.size() <= kMaxName && Printable(name, kMaxName) == name) return {};
  return Fail(Code::kInvalidArgument, fmt::format("name `{}`: must be at most {} printable bytes",
                                                  Printable(name, 64), kMaxName));
}

Result<> CheckCapacityRange(const ::csi::v1::CapacityRange& range) {
  if (range.required_bytes() < 0 || range.limit_bytes() < 0) {
    return Fail(Code::kInvalidArgument,
                fmt::format("capacity_range: {} to {} bytes: neither may be negative",
                            range.required_bytes(), range.limit_bytes()));
  }
  if (range.limit_bytes() != 0 && range.limit_bytes() < range.required_bytes()) {
    return Fail(Code::kInvalidArgument,
                fmt::format("capacity_range: limit_bytes {} is below required_bytes {}",
                            range.limit_bytes(), range.required_bytes()));
  }
  return {};
}

/// What no request may ask for, whichever model it is about.
Result<> CheckRequest(const ::csi::v1::CreateVolumeRequest& request) {
  TRY(CheckName(request.name()));
  if (request.volume_capabilities().empty()) {
    return Fail(Code::kInvalidArgument, "volume_capabilities are missing");
  }
  for (const auto& capability : request.volume_capabilities()) TRY(CheckCapability(capability));
  TRY(CheckCapacityRange(request.capacity_range()));
  if (request.has_volume_content_source()) {
    return Fail(Code::kInvalidArgument,
                "volume_content_source: a volume's content is its model, not a snapshot's or "
                "another volume's: remove the claim's `dataSource`");
  }
  if (!request.mutable_parameters().empty()) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("mutable_parameters `{}`: a volume can't be changed: remove the claim's "
                    "`volumeAttributesClassName`",
                    Printable(request.mutable_parameters().begin()->first, 80)));
  }
  return {};
}

std::string ClaimNamespaceOf(const ::csi::v1::CreateVolumeRequest& request) {
  auto found = request.parameters().find("csi.storage.k8s.io/pvc/namespace");
  return found == request.parameters().end() ? "" : found->second;
}

Placement PlacementOf(const ::csi::v1::CreateVolumeRequest& request,
                      const ClassParameters& parameters) {
  bool multi_node = std::ranges::any_of(request.volume_capabilities(), IsMultiNode);
  return multi_node ? Placement::kAny : parameters.placement;
}

}  // namespace

Result<ClassParameters> ClassParameters::Parse(const StringMap& parameters) {
  TRY(CheckParameters(parameters, ParameterPlace::kStorageClass));
  ClassParameters result;
  for (const auto& entry : parameters) {
    if (!IsForeignKey(entry.first)) result.attributes.insert(entry);
  }
  std::string cached_only = Take(result.attributes, "cachedOnly");
  std::string placement = Take(result.attributes, "placement");
  result.cached_only = TRY(ParseEither("cachedOnly", cached_only, "false", "true"));
  bool any = TRY(ParseEither("placement", placement, "node", "any"));
  if (any) result.placement = Placement::kAny;
  auto model = result.attributes.find("model");
  if (model == result.attributes.end() || Trim(model->second).empty()) {
    return Fail(Code::kInvalidArgument,
                "parameter `model` is missing: a claim has no channel for a model, so the "
                "StorageClass needs one in `parameters.model`, such as hf://org/name@revision");
  }
  result.context = TRY(VolumeContext::Parse(result.attributes));
  return result;
}

Result<Claim> Claim::Read(const ::csi::v1::CreateVolumeRequest& request, const NodeTopology& node) {
  TRY(CheckRequest(request));
  ClassParameters parameters = TRY(ClassParameters::Parse(ToMap(request.parameters())));
  if (parameters.context.scratch_size > 0) {
    for (const auto& capability : request.volume_capabilities()) TRY(CheckWrites(capability));
  }
  Credentials credentials = TRY(SelectCredentials(ToMap(request.secrets())));
  Placement placement = PlacementOf(request, parameters);
  if (placement == Placement::kNode && !node.Satisfies(request.accessibility_requirements())) {
    return Fail(Code::kResourceExhausted,
                fmt::format("the volume is wanted on other nodes than this one ({}: {})", node.key,
                            node.value));
  }
  return Claim{.name = request.name(),
               .volume_id = VolumeIdOf(request.name()),
               .parameters = std::move(parameters),
               .credentials = std::move(credentials),
               .claim_namespace = ClaimNamespaceOf(request),
               .required_bytes = static_cast<uint64_t>(request.capacity_range().required_bytes()),
               .limit_bytes = static_cast<uint64_t>(request.capacity_range().limit_bytes()),
               .placement = placement,
               .request_digest = DigestOf(request, placement, node)};
}

std::string VolumeIdOf(std::string_view name) {
  return fmt::format("{}{}", kIdPrefix, Digest::Of(name).Hex().substr(0, kIdDigits));
}

bool IsOurVolumeId(std::string_view volume_id) {
  return volume_id.starts_with(kIdPrefix) && IsHex(volume_id.substr(kIdPrefix.size()), kIdDigits);
}

}  // namespace weighhouse::csi
