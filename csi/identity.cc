#include "csi/identity.h"

#include "csi/status.h"

namespace weighhouse::csi {

grpc::ServerUnaryReactor* IdentityService::GetPluginInfo(
    grpc::CallbackServerContext* context, const ::csi::v1::GetPluginInfoRequest* /*request*/,
    ::csi::v1::GetPluginInfoResponse* response) {
  response->set_name(driver_name_);
  response->set_vendor_version(WEIGHHOUSE_VERSION);
  return Answer(context);
}

grpc::ServerUnaryReactor* IdentityService::GetPluginCapabilities(
    grpc::CallbackServerContext* context,
    const ::csi::v1::GetPluginCapabilitiesRequest* /*request*/,
    ::csi::v1::GetPluginCapabilitiesResponse* response) {
  using Capability = ::csi::v1::PluginCapability_Service;
  for (auto type : {Capability::CONTROLLER_SERVICE, Capability::VOLUME_ACCESSIBILITY_CONSTRAINTS}) {
    response->add_capabilities()->mutable_service()->set_type(type);
  }
  return Answer(context);
}

grpc::ServerUnaryReactor* IdentityService::Probe(grpc::CallbackServerContext* context,
                                                 const ::csi::v1::ProbeRequest* /*request*/,
                                                 ::csi::v1::ProbeResponse* response) {
  response->mutable_ready()->set_value(true);
  return Answer(context);
}

}  // namespace weighhouse::csi
