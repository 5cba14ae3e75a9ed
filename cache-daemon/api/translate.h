#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "cache-daemon/engine/engine.h"
#include "proto/cache.pb.h"

namespace grpc {
class Status;
}

/// Between the engine's types and those of cache.proto. Pure. What comes from the wire is checked
/// here, once: a request that passes holds only well-formed ids, known enum values and bounded
/// texts. kInvalidArgument names the field and says what is allowed.
namespace weighhouse::api {

namespace pb = ::weighhouse::cache::v1;

// From the wire
Result<> CheckLeaseId(std::string_view id);
/// `field` is the name that the error gives it.
Result<> CheckSnapshotId(std::string_view id, std::string_view field);
Result<ModelReference> ToModelReference(const pb::Model& model);
Result<Layout> ToLayout(pb::Layout layout);
Result<Holder> ToHolder(const pb::Holder& holder);
Result<Credentials> ToCredentials(const google::protobuf::Map<std::string, std::string>& values);
/// The request of an Acquire; with a lease_id it must have a holder with a target_path.
Result<AcquireRequest> ToAcquireRequest(const pb::AcquireRequest& request);
Result<> CheckVolumeId(std::string_view id);
/// `deadline`: until when its source may be waited for.
Result<VolumeRequest> ToVolumeRequest(const pb::CreateVolumeRequest& request,
                                      std::chrono::steady_clock::time_point deadline);
Result<SyncRequest> ToSyncRequest(const pb::SyncLeasesRequest& request);

// To the wire
pb::AcquireUpdate ResolvingUpdate();
pb::AcquireUpdate FillingUpdate(const std::string& snapshot_id, const std::string& revision,
                                const fill::FillProgress& progress);
pb::AcquireUpdate ReadyUpdate(const AcquiredTree& tree);
pb::Holder FromHolder(const Holder& holder);
pb::VolumeHold FromHold(const store::HoldRecord& hold);
pb::Volume FromVolume(const store::VolumeRecord& volume);
pb::Snapshot FromSnapshotView(const SnapshotView& view);
/// In their order; the first ones only, where all would be more than a client takes.
pb::PublishesUpdate FromPublishes(const std::vector<PublishView>& publishes);
/// Adds what `usage` says to the snapshots that are listed.
void SetUsage(const store::Usage& usage, pb::ListResponse& list);
pb::StatResponse FromStatView(const StatView& view);
pb::VerifyUpdate FindingUpdate(const VerifyFinding& finding);
pb::VerifyUpdate ProgressUpdate(const VerifyProgress& progress);
pb::VerifyUpdate SumsUpdate(const VerifySums& sums);
pb::Integrity FromIntegrity(const IntegrityView& view);
pb::CapacityResponse FromSpaceSums(const store::SpaceSums& sums);
pb::ModelFit FromModelFit(const ModelFit& fit);
/// `version` is the program's.
pb::InfoResponse FromEngineInfo(const EngineInfo& info, std::string_view version);
/// The same code; the message made printable and cut to what fits into gRPC's trailers (8 KiB of
/// metadata in all).
grpc::Status ToStatus(const Error& error);

}  // namespace weighhouse::api
