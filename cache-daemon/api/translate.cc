#include "cache-daemon/api/translate.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::api {
namespace {

constexpr size_t kIdDigits = 64;
constexpr size_t kMaxVolumeId = 128;
constexpr size_t kMaxFieldBytes = 4096;  // PATH_MAX: the longest field is a path
constexpr size_t kMaxPatterns = 1000;
constexpr size_t kMaxCredentials = 64;
constexpr size_t kMaxCredential = 64 * 1024;

/// Texts of requests reach log lines and records: no control characters, bounded length.
Result<> CheckText(std::string_view text, std::string_view field) {
  if (text.size() > kMaxFieldBytes) {
    return Fail(Code::kInvalidArgument, fmt::format("{} has {} bytes: at most {} are allowed",
                                                    field, text.size(), kMaxFieldBytes));
  }
  bool control = std::ranges::any_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (control) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{} '{}' has control characters: remove them", field, Printable(text)));
  }
  return {};
}

Result<> CheckId(std::string_view id, std::string_view field) {
  if (IsHex(id, kIdDigits)) return {};
  return Fail(Code::kInvalidArgument,
              fmt::format("{} '{}' is not an id: {} lower-case hexadecimal digits are", field,
                          Printable(id), kIdDigits));
}

Result<std::vector<std::string>> ToGlobs(const pb::Patterns& patterns, std::string_view field) {
  if (static_cast<size_t>(patterns.globs_size()) > kMaxPatterns) {
    return Fail(Code::kInvalidArgument, fmt::format("{} has {} globs: at most {} are allowed",
                                                    field, patterns.globs_size(), kMaxPatterns));
  }
  std::vector<std::string> globs;
  for (const std::string& glob : patterns.globs()) {
    TRY(CheckText(glob, field));
    if (glob.empty()) {
      return Fail(
          Code::kInvalidArgument,
          fmt::format("{} has an empty glob: leave it out, or write * for every file", field));
    }
    globs.push_back(glob);
  }
  return globs;
}

/// A tree as the store names it: `trees/…`, without a way out of the cache root.
Result<> CheckTree(const std::string& tree) {
  TRY(CheckText(tree, "live.tree"));
  bool inside = tree.starts_with("trees/") && !tree.ends_with('/') && !tree.contains("//");
  for (const std::string& part : SplitAndTrim(tree, '/'))
    inside = inside && part != ".." && part != ".";
  if (inside) return {};
  return Fail(Code::kInvalidArgument,
              fmt::format("live.tree '{}' is not a tree: give its path relative to the cache root, "
                          "such as trees/files/<snapshot id>",
                          Printable(tree)));
}

Result<SyncRequest::Live> ToLive(const pb::SyncLeasesRequest::Live& live) {
  TRY(CheckLeaseId(live.lease_id()));
  TRY(CheckTree(live.tree()));
  Holder holder = TRY(ToHolder(live.holder()));
  return SyncRequest::Live{
      .lease_id = live.lease_id(), .holder = std::move(holder), .tree = live.tree()};
}

}  // namespace

Result<> CheckLeaseId(std::string_view id) { return CheckId(id, "lease_id"); }

Result<> CheckSnapshotId(std::string_view id, std::string_view field) { return CheckId(id, field); }

Result<ModelReference> ToModelReference(const pb::Model& model) {
  TRY(CheckText(model.uri(), "model.uri"));
  TRY(CheckText(model.revision(), "model.revision"));
  ModelReference reference = TRY(ModelReference::Parse(model.uri(), model.revision()));
  if (model.has_allow()) {
    std::vector<std::string> globs = TRY(ToGlobs(model.allow(), "model.allow"));
    reference.allow_patterns = std::move(globs);
  }
  if (model.has_ignore()) {
    std::vector<std::string> globs = TRY(ToGlobs(model.ignore(), "model.ignore"));
    reference.ignore_patterns = std::move(globs);
  }
  if (!model.commit().empty() && !reference.IsCommit(model.commit())) {
    return Fail(Code::kInvalidArgument,
                fmt::format("model.commit `{}`: must be 40 lower-case hexadecimal digits of an "
                            "hf:// model, or sha256: and 64 of an oci:// model",
                            Printable(model.commit(), 80)));
  }
  reference.commit = model.commit();
  return reference;
}

Result<Layout> ToLayout(pb::Layout layout) {
  switch (layout) {
    case pb::LAYOUT_UNSPECIFIED:
    case pb::LAYOUT_FILES:
      return Layout::kFiles;
    case pb::LAYOUT_HUB:
      return Layout::kHub;
    default:
      break;
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("layout {} is unknown to this version: 1 (files) and 2 (hub) are known",
                          static_cast<int>(layout)));
}

Result<Holder> ToHolder(const pb::Holder& holder) {
  TRY(CheckText(holder.volume_id(), "holder.volume_id"));
  TRY(CheckText(holder.target_path(), "holder.target_path"));
  TRY(CheckText(holder.pod_namespace(), "holder.pod_namespace"));
  TRY(CheckText(holder.pod_name(), "holder.pod_name"));
  TRY(CheckText(holder.pod_uid(), "holder.pod_uid"));
  return Holder{.volume_id = holder.volume_id(),
                .target_path = holder.target_path(),
                .pod_namespace = holder.pod_namespace(),
                .pod_name = holder.pod_name(),
                .pod_uid = holder.pod_uid()};
}

Result<Credentials> ToCredentials(const google::protobuf::Map<std::string, std::string>& values) {
  if (values.size() > kMaxCredentials) {
    return Fail(Code::kInvalidArgument,
                fmt::format("credentials has {} keys: at most {} are allowed", values.size(),
                            kMaxCredentials));
  }
  Credentials credentials;
  for (const auto& [key, value] : values) {
    TRY(CheckText(key, "a key of credentials"));
    if (value.size() > kMaxCredential) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("the value of credentials '{}' has {} bytes: at most {} are allowed",
                              key, value.size(), kMaxCredential));
    }
    credentials.values.emplace(key, value);
  }
  return credentials;
}

Result<AcquireRequest> ToAcquireRequest(const pb::AcquireRequest& request) {
  if (request.mounted() && request.lease_id().empty()) {
    return Fail(Code::kInvalidArgument, "lease_id is empty: a mounted volume has one");
  }
  if (!request.lease_id().empty()) {
    TRY(CheckLeaseId(request.lease_id()));
    if (request.holder().target_path().empty()) {
      return Fail(
          Code::kInvalidArgument,
          "holder.target_path is empty: a lease needs the path where its volume is mounted");
    }
  }
  Holder holder = TRY(ToHolder(request.holder()));
  ModelReference model = TRY(ToModelReference(request.model()));
  Layout layout = TRY(ToLayout(request.layout()));
  Credentials credentials = TRY(ToCredentials(request.credentials()));
  return AcquireRequest{.lease_id = request.lease_id(),
                        .holder = std::move(holder),
                        .model = std::move(model),
                        .layout = layout,
                        .credentials = std::move(credentials),
                        .mounted = request.mounted()};
}

Result<> CheckVolumeId(std::string_view id) {
  if (id.empty() || id.size() > kMaxVolumeId || Printable(id) != id) {
    return Fail(Code::kInvalidArgument,
                fmt::format("volume_id '{}': must be printable and of 1 to {} bytes", Printable(id),
                            kMaxVolumeId));
  }
  return {};
}

Result<VolumeRequest> ToVolumeRequest(const pb::CreateVolumeRequest& request,
                                      std::chrono::steady_clock::time_point deadline) {
  TRY(CheckVolumeId(request.volume_id()));
  TRY(CheckId(request.request_digest(), "request_digest"));
  TRY(CheckText(request.claim_namespace(), "claim_namespace"));
  ModelReference model = TRY(ToModelReference(request.model()));
  Credentials credentials = TRY(ToCredentials(request.credentials()));
  return VolumeRequest{.volume_id = request.volume_id(),
                       .request_digest = request.request_digest(),
                       .model = model.AtCommit(),
                       .required_bytes = request.required_bytes(),
                       .limit_bytes = request.limit_bytes(),
                       .cached_only = request.cached_only(),
                       .credentials = std::move(credentials),
                       .claim_namespace = request.claim_namespace(),
                       .deadline = deadline};
}

Result<SyncRequest> ToSyncRequest(const pb::SyncLeasesRequest& request) {
  if (request.epoch_unix_ms() <= 0) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("epoch_unix_ms is {}: give the time, in milliseconds since 1970, taken before "
                    "mountinfo was read",
                    request.epoch_unix_ms()));
  }
  SyncRequest out;
  out.epoch =
      std::chrono::system_clock::time_point(std::chrono::milliseconds(request.epoch_unix_ms()));
  for (const auto& live : request.live()) {
    SyncRequest::Live checked = TRY(ToLive(live));
    out.live.push_back(std::move(checked));
  }
  for (const std::string& id : request.publishing_lease_ids()) {
    TRY(CheckId(id, "publishing_lease_ids"));
    out.publishing_lease_ids.push_back(id);
  }
  for (const std::string& uid : request.pod_uids()) {
    TRY(CheckText(uid, "pod_uids"));
    out.pod_uids.push_back(uid);
  }
  return out;
}

}  // namespace weighhouse::api
