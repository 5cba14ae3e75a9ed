#include "cache-daemon/api/translate.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <grpcpp/support/status.h>

#include "base/text.h"

namespace weighhouse::api {
namespace {

constexpr bool SameNumber(Code ours, grpc::StatusCode theirs) {
  return static_cast<int>(ours) == static_cast<int>(theirs);
}
static_assert(SameNumber(Code::kCancelled, grpc::StatusCode::CANCELLED));
static_assert(SameNumber(Code::kUnknown, grpc::StatusCode::UNKNOWN));
static_assert(SameNumber(Code::kInvalidArgument, grpc::StatusCode::INVALID_ARGUMENT));
static_assert(SameNumber(Code::kDeadlineExceeded, grpc::StatusCode::DEADLINE_EXCEEDED));
static_assert(SameNumber(Code::kNotFound, grpc::StatusCode::NOT_FOUND));
static_assert(SameNumber(Code::kAlreadyExists, grpc::StatusCode::ALREADY_EXISTS));
static_assert(SameNumber(Code::kPermissionDenied, grpc::StatusCode::PERMISSION_DENIED));
static_assert(SameNumber(Code::kResourceExhausted, grpc::StatusCode::RESOURCE_EXHAUSTED));
static_assert(SameNumber(Code::kFailedPrecondition, grpc::StatusCode::FAILED_PRECONDITION));
static_assert(SameNumber(Code::kAborted, grpc::StatusCode::ABORTED));
static_assert(SameNumber(Code::kOutOfRange, grpc::StatusCode::OUT_OF_RANGE));
static_assert(SameNumber(Code::kUnimplemented, grpc::StatusCode::UNIMPLEMENTED));
static_assert(SameNumber(Code::kInternal, grpc::StatusCode::INTERNAL));
static_assert(SameNumber(Code::kUnavailable, grpc::StatusCode::UNAVAILABLE));
static_assert(SameNumber(Code::kDataLoss, grpc::StatusCode::DATA_LOSS));
static_assert(SameNumber(Code::kUnauthenticated, grpc::StatusCode::UNAUTHENTICATED));

constexpr size_t kIdDigits = 64;
constexpr size_t kMaxText = 4096;  // PATH_MAX: the longest field is a path
constexpr size_t kMaxPatterns = 1000;
constexpr size_t kMaxCredentials = 64;
constexpr size_t kMaxCredential = 64 * 1024;
constexpr size_t kMaxStatusMessage = 2000;  // percent-encoding in the trailer may triple it

/// Texts of requests reach log lines and records: no control characters, bounded length.
Result<> CheckText(std::string_view text, std::string_view field) {
  if (text.size() > kMaxText) {
    return Fail(Code::kInvalidArgument, fmt::format("{} has {} bytes: at most {} are allowed",
                                                    field, text.size(), kMaxText));
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

int64_t UnixSeconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

uint64_t WholeRate(double bytes_per_second) {
  return bytes_per_second > 0 ? static_cast<uint64_t>(bytes_per_second) : 0;
}

pb::HostConnections FromHostConnections(const fill::HostConnections& host) {
  pb::HostConnections out;
  out.set_host(Printable(host.host));
  out.set_connections(static_cast<uint32_t>(host.connections));
  out.set_allowance(static_cast<uint32_t>(host.allowance));
  out.set_bytes_per_second(WholeRate(host.bytes_per_second));
  return out;
}

std::string_view ServedFromName(AcquiredTree::ServedFrom served_from) {
  switch (served_from) {
    case AcquiredTree::ServedFrom::kSource:
      return "source";
    case AcquiredTree::ServedFrom::kLease:
      return "lease";
    case AcquiredTree::ServedFrom::kCache:
      return "cache";
  }
  return "source";
}

pb::Snapshot::State StateOf(const SnapshotView& view) {
  if (view.snapshot.complete) return pb::Snapshot::COMPLETE;
  return view.filling ? pb::Snapshot::FILLING : pb::Snapshot::INCOMPLETE;
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
                        .credentials = std::move(credentials)};
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

pb::AcquireUpdate ResolvingUpdate() {
  pb::AcquireUpdate update;
  update.mutable_resolving();
  return update;
}

pb::AcquireUpdate FillingUpdate(const std::string& snapshot_id, const std::string& revision,
                                const fill::FillProgress& progress) {
  pb::AcquireUpdate update;
  pb::Filling& filling = *update.mutable_filling();
  filling.set_snapshot_id(snapshot_id);
  filling.set_revision(revision);
  filling.set_bytes_total(progress.bytes_total);
  filling.set_bytes_done(progress.bytes_done);
  filling.set_bytes_per_second(WholeRate(progress.bytes_per_second));
  filling.set_files_total(static_cast<uint32_t>(progress.files_total));
  filling.set_files_done(static_cast<uint32_t>(progress.files_done));
  filling.set_waiting_for(Printable(progress.waiting_for));
  filling.set_connections(static_cast<uint32_t>(progress.connections));
  for (const fill::HostConnections& host : progress.hosts) {
    *filling.add_hosts() = FromHostConnections(host);
  }
  return update;
}

pb::AcquireUpdate ReadyUpdate(const AcquiredTree& tree) {
  pb::AcquireUpdate update;
  pb::Ready& ready = *update.mutable_ready();
  ready.set_snapshot_id(tree.snapshot_id);
  ready.set_revision(tree.revision);
  ready.set_tree(tree.tree);
  ready.set_bytes(tree.bytes);
  ready.set_bytes_fetched(tree.bytes_fetched);
  ready.set_files(static_cast<uint32_t>(tree.files));
  ready.set_served_from(std::string(ServedFromName(tree.served_from)));
  return update;
}

pb::Holder FromHolder(const Holder& holder) {
  pb::Holder out;
  out.set_volume_id(holder.volume_id);
  out.set_target_path(holder.target_path);
  out.set_pod_namespace(holder.pod_namespace);
  out.set_pod_name(holder.pod_name);
  out.set_pod_uid(holder.pod_uid);
  return out;
}

pb::Snapshot FromSnapshotView(const SnapshotView& view) {
  const store::Snapshot& snapshot = view.snapshot;
  pb::Snapshot out;
  out.set_id(snapshot.id);
  out.set_origin(snapshot.origin);
  out.set_revision(snapshot.revision);
  for (const std::string& reference : view.references) out.add_references(reference);
  out.set_bytes(snapshot.TotalBytes());
  Bytes present = snapshot.PresentBytes();
  if (view.filling) present = std::max(present, view.filling->bytes_done);
  out.set_bytes_present(present);
  out.set_files(static_cast<uint32_t>(snapshot.files.size()));
  out.set_state(StateOf(view));
  out.set_last_used_unix(UnixSeconds(snapshot.last_used));
  for (const Holder& holder : view.leases) *out.add_leases() = FromHolder(holder);
  if (view.filling) {
    out.set_bytes_per_second(WholeRate(view.filling->bytes_per_second));
    out.set_connections(static_cast<uint32_t>(view.filling->connections));
  }
  return out;
}

pb::StatResponse FromStatView(const StatView& view) {
  pb::StatResponse out;
  out.set_origin(view.listing.origin);
  out.set_revision(view.listing.revision);
  out.set_snapshot_id(view.snapshot_id);
  for (const StatView::File& file : view.files) {
    pb::StatResponse::File& added = *out.add_files();
    const FileIdentity& identity = file.listed.identity;
    added.set_path(file.listed.path);
    added.set_size(file.listed.size);
    added.set_identity(
        fmt::format("{}:{}", IdentityKindName(identity.kind), Printable(identity.value)));
    added.set_present(file.present);
    added.set_selected(file.selected);
  }
  out.set_bytes_selected(view.bytes_selected);
  out.set_bytes_missing(view.bytes_missing);
  out.set_recommended_claim_bytes(view.recommended_claim);
  return out;
}

pb::VerifyUpdate FindingUpdate(const VerifyFinding& finding) {
  pb::VerifyUpdate update;
  pb::VerifyFinding& out = *update.mutable_finding();
  out.set_sha256(finding.blob.Hex());
  out.set_found(Printable(finding.found));
  for (const std::string& path : finding.paths) out.add_paths(path);
  return update;
}

pb::VerifyUpdate SumsUpdate(const VerifySums& sums) {
  pb::VerifyUpdate update;
  pb::VerifySums& out = *update.mutable_sums();
  out.set_blobs(sums.blobs);
  out.set_bytes(sums.bytes);
  out.set_bad(sums.bad);
  return update;
}

pb::CapacityResponse FromSpaceSums(const store::SpaceSums& sums) {
  pb::CapacityResponse out;
  out.set_limit(sums.limit);
  out.set_used(sums.used);
  out.set_held(sums.held);
  out.set_reserved(sums.reserved);
  out.set_evictable(sums.evictable);
  out.set_available(sums.available);
  out.set_filesystem_total(sums.filesystem_total);
  out.set_filesystem_free(sums.filesystem_free);
  out.set_min_free(sums.min_free);
  out.set_unallocated(sums.unallocated);
  return out;
}

pb::InfoResponse FromEngineInfo(const EngineInfo& info, std::string_view version) {
  pb::InfoResponse out;
  out.set_version(std::string(version));
  out.set_root(info.root);
  out.set_root_device(info.root_device);
  out.set_root_inode(info.root_inode);
  out.set_root_id(info.root_id);
  out.set_write_engine(info.write_engine);
  out.set_fallback_reason(Printable(info.fallback_reason, 500));
  out.set_started_unix(UnixSeconds(info.started));
  out.set_fills_active(static_cast<uint32_t>(info.fills_active));
  out.set_bytes_fetched(info.bytes_fetched);
  out.set_uid(info.uid);
  for (const fill::HostConnections& host : info.hosts) {
    *out.add_hosts() = FromHostConnections(host);
  }
  return out;
}

grpc::Status ToStatus(const Error& error) {
  return {static_cast<grpc::StatusCode>(error.code), Printable(error.message, kMaxStatusMessage)};
}

}  // namespace weighhouse::api
