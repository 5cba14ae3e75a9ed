#pragma once

#include "csi/claim.h"
#include "csi/daemon_client.h"
#include "csi/protections.h"
#include "csi/recent_texts.h"
#include "csi/topology.h"
#include "csi/volume_locks.h"
#include "proto/csi.grpc.pb.h"

namespace weighhouse::csi {

/// CSI Controller, served by every node for itself (the provisioner's `--node-deployment`): it
/// translates between the wire and the daemon, which decides and remembers. Nothing here waits: the
/// daemon's answer ends the call (gRPC's callback API). Calls that aren't overridden answer
/// UNIMPLEMENTED (csi/unoffered_calls.h). Thread-safe.
///
/// The provisioner takes RESOURCE_EXHAUSTED as "choose another node", UNAVAILABLE, ABORTED and
/// DEADLINE_EXCEEDED as "under way", and any other error as final.
class ControllerService final : public ::csi::v1::Controller::CallbackService {
 public:
  ControllerService(NodeTopology node, DaemonClient& daemon, const Protections& protections)
      : node_(std::move(node)), daemon_(daemon), protections_(protections) {}

  grpc::ServerUnaryReactor* CreateVolume(grpc::CallbackServerContext* context,
                                         const ::csi::v1::CreateVolumeRequest* request,
                                         ::csi::v1::CreateVolumeResponse* response) override;
  grpc::ServerUnaryReactor* DeleteVolume(grpc::CallbackServerContext* context,
                                         const ::csi::v1::DeleteVolumeRequest* request,
                                         ::csi::v1::DeleteVolumeResponse* response) override;
  grpc::ServerUnaryReactor* ValidateVolumeCapabilities(
      grpc::CallbackServerContext* context,
      const ::csi::v1::ValidateVolumeCapabilitiesRequest* request,
      ::csi::v1::ValidateVolumeCapabilitiesResponse* response) override;
  grpc::ServerUnaryReactor* GetCapacity(grpc::CallbackServerContext* context,
                                        const ::csi::v1::GetCapacityRequest* request,
                                        ::csi::v1::GetCapacityResponse* response) override;
  grpc::ServerUnaryReactor* ControllerGetCapabilities(
      grpc::CallbackServerContext* context,
      const ::csi::v1::ControllerGetCapabilitiesRequest* request,
      ::csi::v1::ControllerGetCapabilitiesResponse* response) override;

 private:
  void WarnOfClass(const ::csi::v1::GetCapacityRequest& request, const Error& error);

  const NodeTopology node_;
  DaemonClient& daemon_;
  const Protections& protections_;
  VolumeLocks locks_;                ///< of volumes that are being made or deleted
  RecentTexts warned_classes_{256};  ///< that have no capacity: the provisioner polls
};

}  // namespace weighhouse::csi
