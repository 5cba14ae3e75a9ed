#pragma once

#include <future>
#include <string>

#include "test/csi/plugin_test.h"

namespace weighhouse::csi {

/// A plugin called as the provisioner calls it.
class ControllerTest : public PluginTest {
 protected:
  using PluginTest::PluginTest;
  using Mode = ::csi::v1::VolumeCapability_AccessMode;
  using CreateRequest = ::csi::v1::CreateVolumeRequest;
  static constexpr const char* kTopologyKey = "topology.csi.weighhouse.dev/node";
  static constexpr int64_t kGiB = int64_t{1} << 30;
  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

  /// A node beside the one under test, with a daemon of its own.
  struct OtherNode {
    TemporaryDirectory directory;
    FakeMounter mounter;
    PluginHarness harness{std::filesystem::canonical(directory.path()), mounter, AllHold()};
  };
  struct Created {
    grpc::Status status;
    ::csi::v1::Volume volume;
  };
  struct Validated {
    grpc::Status status;
    ::csi::v1::ValidateVolumeCapabilitiesResponse response;
  };
  struct Capacity {
    grpc::Status status;
    ::csi::v1::GetCapacityResponse response;
  };

  static ::csi::v1::VolumeCapability Capability(::csi::v1::VolumeCapability_AccessMode_Mode mode) {
    ::csi::v1::VolumeCapability capability;
    capability.mutable_mount();
    capability.mutable_access_mode()->set_mode(mode);
    return capability;
  }
  static CreateRequest CreateOf(const std::string& name,
                                ::csi::v1::VolumeCapability_AccessMode_Mode mode) {
    CreateRequest request;
    request.set_name(name);
    *request.add_volume_capabilities() = Capability(mode);
    request.mutable_capacity_range()->set_required_bytes(10 * kGiB);
    (*request.mutable_parameters())["model"] = "hf://org/name";
    return request;
  }
  /// A claim that one node may use.
  static CreateRequest NodeClaim(const std::string& name = "pvc-1") {
    return CreateOf(name, Mode::SINGLE_NODE_MULTI_WRITER);
  }
  /// A claim that any node may use.
  static CreateRequest AnyNodeClaim(const std::string& name = "pvc-1") {
    return CreateOf(name, Mode::MULTI_NODE_MULTI_WRITER);
  }
  static ::csi::v1::Topology At(const std::string& node, const std::string& key = kTopologyKey) {
    ::csi::v1::Topology topology;
    (*topology.mutable_segments())[key] = node;
    return topology;
  }

  Created Create(const CreateRequest& request) {
    grpc::ClientContext context;
    ::csi::v1::CreateVolumeResponse response;
    grpc::Status status = harness_.controller().CreateVolume(&context, request, &response);
    return {status, response.volume()};
  }
  std::future<grpc::Status> CreateLater(const CreateRequest& request) {
    return std::async(std::launch::async, [this, request] { return Create(request).status; });
  }
  grpc::Status Delete(const std::string& volume_id) { return DeleteAt(harness_, volume_id); }
  static grpc::Status DeleteAt(PluginHarness& harness, const std::string& volume_id) {
    grpc::ClientContext context;
    ::csi::v1::DeleteVolumeRequest request;
    request.set_volume_id(volume_id);
    ::csi::v1::DeleteVolumeResponse response;
    return harness.controller().DeleteVolume(&context, request, &response);
  }
  Validated Validate(const ::csi::v1::ValidateVolumeCapabilitiesRequest& request) {
    grpc::ClientContext context;
    Validated result;
    result.status =
        harness_.controller().ValidateVolumeCapabilities(&context, request, &result.response);
    return result;
  }
  Capacity GetCapacity(const ::csi::v1::GetCapacityRequest& request) {
    grpc::ClientContext context;
    Capacity result;
    result.status = harness_.controller().GetCapacity(&context, request, &result.response);
    return result;
  }
};

}  // namespace weighhouse::csi
