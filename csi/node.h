#pragma once

#include <string>

#include "base/worker_pool.h"
#include "csi/publisher.h"
#include "csi/topology.h"
#include "csi/volume_stats.h"
#include "proto/csi.grpc.pb.h"

namespace weighhouse::csi {

/// CSI Node: translates between the wire and the publisher. A waiting publish holds no thread
/// (gRPC's callback API). Calls that aren't overridden (Stage, Unstage, Expand) answer
/// UNIMPLEMENTED (csi/unoffered_calls.h). Thread-safe.
class NodeService final : public ::csi::v1::Node::CallbackService {
 public:
  struct Parts {
    std::string node_id;
    std::string kubelet_root;
    NodeTopology topology;
    Publisher& publisher;
    VolumeStats& stats;
  };
  explicit NodeService(Parts parts) : parts_(std::move(parts)) {}

  grpc::ServerUnaryReactor* NodePublishVolume(
      grpc::CallbackServerContext* context, const ::csi::v1::NodePublishVolumeRequest* request,
      ::csi::v1::NodePublishVolumeResponse* response) override;
  grpc::ServerUnaryReactor* NodeUnpublishVolume(
      grpc::CallbackServerContext* context, const ::csi::v1::NodeUnpublishVolumeRequest* request,
      ::csi::v1::NodeUnpublishVolumeResponse* response) override;
  grpc::ServerUnaryReactor* NodeGetVolumeStats(
      grpc::CallbackServerContext* context, const ::csi::v1::NodeGetVolumeStatsRequest* request,
      ::csi::v1::NodeGetVolumeStatsResponse* response) override;
  grpc::ServerUnaryReactor* NodeGetCapabilities(
      grpc::CallbackServerContext* context, const ::csi::v1::NodeGetCapabilitiesRequest* request,
      ::csi::v1::NodeGetCapabilitiesResponse* response) override;
  grpc::ServerUnaryReactor* NodeGetInfo(grpc::CallbackServerContext* context,
                                        const ::csi::v1::NodeGetInfoRequest* request,
                                        ::csi::v1::NodeGetInfoResponse* response) override;

 private:
  const Parts parts_;
  WorkerPool stats_workers_{"stats", 2};
};

}  // namespace weighhouse::csi
