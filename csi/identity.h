#pragma once

#include <string>

#include "proto/csi.grpc.pb.h"

namespace weighhouse::csi {

/// CSI Identity. Answers from constants, without locks or disk: livenessprobe kills a driver whose
/// Probe is slow or not ready, and the sidecars end if anything here fails. Thread-safe.
class IdentityService final : public ::csi::v1::Identity::CallbackService {
 public:
  explicit IdentityService(std::string driver_name) : driver_name_(std::move(driver_name)) {}

  grpc::ServerUnaryReactor* GetPluginInfo(grpc::CallbackServerContext* context,
                                          const ::csi::v1::GetPluginInfoRequest* request,
                                          ::csi::v1::GetPluginInfoResponse* response) override;
  grpc::ServerUnaryReactor* GetPluginCapabilities(
      grpc::CallbackServerContext* context, const ::csi::v1::GetPluginCapabilitiesRequest* request,
      ::csi::v1::GetPluginCapabilitiesResponse* response) override;
  grpc::ServerUnaryReactor* Probe(grpc::CallbackServerContext* context,
                                  const ::csi::v1::ProbeRequest* request,
                                  ::csi::v1::ProbeResponse* response) override;

 private:
  const std::string driver_name_;
};

}  // namespace weighhouse::csi
