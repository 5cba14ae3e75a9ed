#include "csi/node.h"

#include <utility>

#include "base/log_context.h"
#include "base/text.h"
#include "csi/publish_request.h"
#include "csi/status.h"

namespace weighhouse::csi {
namespace {

using std::chrono::milliseconds;

/// What is left of the caller's deadline; a day where it gave none.
milliseconds Remaining(const grpc::CallbackServerContext& context) {
  constexpr milliseconds kNoDeadline = std::chrono::hours(24);
  auto left = context.deadline() - std::chrono::system_clock::now();
  if (left > kNoDeadline) return kNoDeadline;
  return std::chrono::duration_cast<milliseconds>(left);
}

/// Of a new request, about a volume whose id may be anything yet.
LogContext ContextOfVolume(const std::string& volume_id) {
  return ContextOfRequest("", {{"volume", Printable(volume_id, 128)}});
}

/// One publish on the wire. Deletes itself when gRPC is done with it.
class PublishReactor final : public grpc::ServerUnaryReactor {
 public:
  PublishReactor(Publisher& publisher, const ::csi::v1::NodePublishVolumeRequest& request,
                 const TargetPath& target, milliseconds remaining) {
    auto done = [this](const Result<>& outcome) { Finish(ToStatus(outcome)); };
    Result<PublishOrder> order = ReadPublishRequest(request, target);
    if (order) {
      flight_ = publisher.Publish(std::move(*order), remaining, done);
    } else {
      publisher.Refuse(request.volume_id(), target, std::move(order).error(), done);
    }
  }
  /// The caller went away: its waiting ends, the fill doesn't.
  void OnCancel() override {
    if (flight_) flight_->Interrupt(Interruption::kAbandoned);
  }
  void OnDone() override { delete this; }

 private:
  std::shared_ptr<Interruptible> flight_;
};

}  // namespace

grpc::ServerUnaryReactor* NodeService::NodePublishVolume(
    grpc::CallbackServerContext* context, const ::csi::v1::NodePublishVolumeRequest* request,
    ::csi::v1::NodePublishVolumeResponse* /*response*/) {
  Result<> id = CheckVolumeId(request->volume_id());
  if (!id) return Answer(context, ToStatus(id));
  Result<TargetPath> target = TargetPath::Parse(request->target_path(), parts_.kubelet_root);
  if (!target) return Answer(context, ToStatus(target.error()));
  LogScope scope(ContextOfVolume(request->volume_id()));
  return new PublishReactor(parts_.publisher, *request, *target, Remaining(*context));
}

grpc::ServerUnaryReactor* NodeService::NodeUnpublishVolume(
    grpc::CallbackServerContext* context, const ::csi::v1::NodeUnpublishVolumeRequest* request,
    ::csi::v1::NodeUnpublishVolumeResponse* /*response*/) {
  if (request->volume_id().empty()) {
    return Answer(context, ToStatus(Error{Code::kInvalidArgument, "volume_id is missing"}));
  }
  Result<TargetPath> target = TargetPath::Parse(request->target_path(), parts_.kubelet_root);
  if (!target) return Answer(context, ToStatus(target.error()));
  LogScope scope(ContextOfVolume(request->volume_id()));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  parts_.publisher.Unpublish(std::move(*target), [reactor](const Result<>& outcome) {
    reactor->Finish(ToStatus(outcome));
  });
  return reactor;
}

grpc::ServerUnaryReactor* NodeService::NodeGetVolumeStats(
    grpc::CallbackServerContext* context, const ::csi::v1::NodeGetVolumeStatsRequest* request,
    ::csi::v1::NodeGetVolumeStatsResponse* response) {
  if (request->volume_id().empty() || request->volume_path().empty()) {
    std::string missing = request->volume_id().empty() ? "volume_id" : "volume_path";
    return Answer(context, ToStatus(Error{Code::kInvalidArgument, missing + " is missing"}));
  }
  LogScope scope(ContextOfVolume(request->volume_id()));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  stats_workers_.Post([this, reactor, request, response] {
    Result<VolumeReport> report = parts_.stats.Report(request->volume_id(), request->volume_path());
    if (!report) return reactor->Finish(ToStatus(report.error()));
    auto add = [response](::csi::v1::VolumeUsage::Unit unit, uint64_t count) {
      ::csi::v1::VolumeUsage& usage = *response->add_usage();
      usage.set_unit(unit);
      usage.set_total(static_cast<int64_t>(count));
      usage.set_used(static_cast<int64_t>(count));
    };
    add(::csi::v1::VolumeUsage::BYTES, report->sizes.bytes);
    add(::csi::v1::VolumeUsage::INODES, report->sizes.files);
    response->mutable_volume_condition()->set_abnormal(report->abnormal);
    response->mutable_volume_condition()->set_message(report->condition);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* NodeService::NodeGetCapabilities(
    grpc::CallbackServerContext* context, const ::csi::v1::NodeGetCapabilitiesRequest* /*request*/,
    ::csi::v1::NodeGetCapabilitiesResponse* response) {
  using Rpc = ::csi::v1::NodeServiceCapability_RPC;
  // SINGLE_NODE_MULTI_WRITER: kubelet then says of a ReadWriteOnce volume that several pods may
  // share it.
  for (auto type : {Rpc::GET_VOLUME_STATS, Rpc::VOLUME_CONDITION, Rpc::SINGLE_NODE_MULTI_WRITER}) {
    response->add_capabilities()->mutable_rpc()->set_type(type);
  }
  return Answer(context);
}

grpc::ServerUnaryReactor* NodeService::NodeGetInfo(grpc::CallbackServerContext* context,
                                                   const ::csi::v1::NodeGetInfoRequest* /*request*/,
                                                   ::csi::v1::NodeGetInfoResponse* response) {
  response->set_node_id(parts_.node_id);
  *response->mutable_accessible_topology() = parts_.topology.ToMessage();
  return Answer(context);
}

}  // namespace weighhouse::csi
