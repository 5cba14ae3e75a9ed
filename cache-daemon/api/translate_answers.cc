#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <grpcpp/support/status.h>

#include "base/text.h"
#include "cache-daemon/api/translate.h"

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

constexpr size_t kMaxShown = 500;
constexpr size_t kMaxStatusMessage = 2000;  // percent-encoding in the trailer may triple it

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

pb::VolumeHold FromHold(const store::HoldRecord& hold) {
  pb::VolumeHold out;
  out.set_volume_id(hold.volume_id);
  out.set_snapshot_id(hold.snapshot_id);
  out.set_model(hold.model);
  out.set_bytes(hold.bytes);
  out.set_ends_unix(UnixSeconds(hold.ends));
  return out;
}

pb::Volume FromVolume(const store::VolumeRecord& volume) {
  pb::Volume out;
  out.set_volume_id(volume.volume_id);
  out.set_request_digest(volume.request_digest);
  out.set_model(volume.model);
  out.set_commit(volume.commit);
  out.set_model_bytes(volume.model_bytes);
  out.set_capacity_bytes(volume.capacity_bytes);
  out.set_created_unix(UnixSeconds(volume.created));
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
  out.set_kept(view.kept);
  if (view.filling) {
    out.set_bytes_per_second(WholeRate(view.filling->bytes_per_second));
    out.set_connections(static_cast<uint32_t>(view.filling->connections));
  }
  return out;
}

void SetUsage(const store::Usage& usage, pb::ListResponse& list) {
  list.set_bytes_shared(usage.shared);
  for (pb::Snapshot& snapshot : *list.mutable_snapshots()) {
    auto share = usage.snapshots.find(snapshot.id());
    if (share == usage.snapshots.end()) continue;  // begun or evicted in between
    snapshot.set_bytes_own(share->second.own);
    snapshot.set_bytes_shared(share->second.shared);
  }
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
  out.set_for_holds(sums.for_holds);
  return out;
}

pb::ModelFit FromModelFit(const ModelFit& fit) {
  pb::ModelFit out;
  out.set_size(fit.known ? pb::ModelFit::SIZE_KNOWN : pb::ModelFit::SIZE_UNKNOWN);
  out.set_fits(fit.fits);
  out.set_cached(fit.cached);
  out.set_bytes(fit.bytes);
  out.set_bytes_missing(fit.bytes_missing);
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
  out.set_fallback_reason(Printable(info.fallback_reason, kMaxShown));
  out.set_started_unix(UnixSeconds(info.started));
  out.set_fills_active(static_cast<uint32_t>(info.fills_active));
  out.set_bytes_fetched(info.bytes_fetched);
  out.set_uid(info.uid);
  for (const fill::HostConnections& host : info.hosts) {
    *out.add_hosts() = FromHostConnections(host);
  }
  for (const store::HoldRecord& hold : info.holds) *out.add_holds() = FromHold(hold);
  out.set_volumes(info.contents.volumes);
  *out.mutable_integrity() = FromIntegrity(info.integrity);
  for (const KeepView& keep : info.keep) {
    pb::KeptModel& added = *out.add_keep();
    added.set_model(Printable(keep.model, kMaxShown));
    added.set_snapshot_id(keep.snapshot_id);
    added.set_problem(Printable(keep.problem, kMaxShown));
  }
  return out;
}

grpc::Status ToStatus(const Error& error) {
  return {static_cast<grpc::StatusCode>(error.code), Printable(error.message, kMaxStatusMessage)};
}

}  // namespace weighhouse::api
