// What external-provisioner and node-driver-registrar send, field by field as they send it (facts
// §3, §7), and what they need back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/controller_test.h"

namespace weighhouse::csi {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

class ProvisionerTest : public ControllerTest {
 protected:
  ProvisionerTest() {
    cache::v1::CapacityResponse capacity;
    capacity.set_available(static_cast<uint64_t>(7 * kGiB));
    capacity.mutable_model()->set_size(cache::v1::ModelFit::SIZE_UNKNOWN);
    harness_.daemon().SetCapacity(capacity);
  }
  /// A StorageClass's parameters as GetCapacity gets them: the sidecar's own keys are left in.
  static void AddClass(::csi::v1::GetCapacityRequest& request) {
    auto& parameters = *request.mutable_parameters();
    parameters["model"] = "hf://org/name";
    parameters["csi.storage.k8s.io/fstype"] = "ext4";
    parameters["csi.storage.k8s.io/node-publish-secret-name"] = "${pvc.name}";
    parameters["csi.storage.k8s.io/node-publish-secret-namespace"] = "${pvc.namespace}";
    parameters["csi.storage.k8s.io/provisioner-secret-name"] = "hub";
    parameters["csi.storage.k8s.io/provisioner-secret-namespace"] = "weighhouse-system";
  }
  int64_t Available(const ::csi::v1::GetCapacityRequest& request) {
    Capacity capacity = GetCapacity(request);
    EXPECT_THAT(capacity.status, HasCode(StatusCode::OK));
    return capacity.response.available_capacity();
  }
};

TEST_F(ProvisionerTest, StartsFromNameVersionCapabilitiesAndANodeWithTopology) {
  grpc::ClientContext info, plugin, probe, controller, node;
  ::csi::v1::GetPluginInfoResponse info_response;
  ::csi::v1::GetPluginCapabilitiesResponse plugin_response;
  ::csi::v1::ProbeResponse probe_response;
  ::csi::v1::ControllerGetCapabilitiesResponse controller_response;
  ::csi::v1::NodeGetInfoResponse node_response;
  // Any error here ends the sidecar, so none of it may depend on the daemon.
  harness_.daemon().Stop();
  EXPECT_TRUE(harness_.identity().Probe(&probe, {}, &probe_response).ok());
  EXPECT_TRUE(harness_.identity().GetPluginInfo(&info, {}, &info_response).ok());
  EXPECT_TRUE(harness_.identity().GetPluginCapabilities(&plugin, {}, &plugin_response).ok());
  EXPECT_TRUE(
      harness_.controller().ControllerGetCapabilities(&controller, {}, &controller_response).ok());
  EXPECT_TRUE(harness_.node().NodeGetInfo(&node, {}, &node_response).ok());
  EXPECT_EQ(info_response.name(), "csi.weighhouse.dev");
  EXPECT_FALSE(info_response.vendor_version().empty()) << "\"Driver is missing version\"";
  EXPECT_THAT(node_response.accessible_topology().segments(), SizeIs(1));
}

TEST_F(ProvisionerTest, Version6AsksForCapacityWithoutCapabilities) {
  ::csi::v1::GetCapacityRequest request;
  AddClass(request);
  *request.mutable_accessible_topology() = At("test-node");
  EXPECT_EQ(Available(request), 7 * kGiB);
}

TEST_F(ProvisionerTest, Version3AsksForCapacityWithAnUnknownAccessMode) {
  ::csi::v1::GetCapacityRequest request;
  AddClass(request);
  *request.mutable_accessible_topology() = At("test-node");
  ::csi::v1::VolumeCapability& capability = *request.add_volume_capabilities();
  capability.mutable_mount();
  capability.mutable_access_mode();
  EXPECT_EQ(Available(request), 7 * kGiB);
  capability.clear_access_mode();
  EXPECT_EQ(Available(request), 7 * kGiB);
  capability.clear_access_type();
  EXPECT_EQ(Available(request), 7 * kGiB);
}

TEST_F(ProvisionerTest, AClassWithoutAModelHasTheNodesCapacity) {
  // Else its claims would wait without a word; so CreateVolume says what the class lacks.
  ::csi::v1::GetCapacityRequest request;
  (*request.mutable_parameters())["csi.storage.k8s.io/fstype"] = "ext4";
  EXPECT_EQ(Available(request), 7 * kGiB);
}

TEST_F(ProvisionerTest, ImmediateBindingAsksWithTheClaimsCapabilities) {
  ::csi::v1::GetCapacityRequest request;
  (*request.mutable_parameters())["model"] = "hf://org/name";
  *request.mutable_accessible_topology() = At("test-node");
  *request.add_volume_capabilities() = Capability(Mode::MULTI_NODE_MULTI_WRITER);
  request.mutable_volume_capabilities(0)->mutable_mount()->set_fs_type("ext4");
  EXPECT_EQ(Available(request), 7 * kGiB);
}

TEST_F(ProvisionerTest, CreatesWithStrictTopologyAndTheClaimsNames) {
  CreateRequest request = NodeClaim("pvc-0b1ff2a7-7c43-4c21-9a44-1c1f6f4d0b11");
  request.mutable_volume_capabilities(0)->mutable_mount()->set_fs_type("ext4");
  auto& parameters = *request.mutable_parameters();
  parameters["csi.storage.k8s.io/pvc/name"] = "llm-0-model";
  parameters["csi.storage.k8s.io/pvc/namespace"] = "team-a";
  parameters["csi.storage.k8s.io/pv/name"] = request.name();
  *request.mutable_accessibility_requirements()->add_requisite() = At("test-node");
  *request.mutable_accessibility_requirements()->add_preferred() = At("test-node");
  Created created = Create(request);
  ASSERT_THAT(created.status, HasCode(StatusCode::OK));
  EXPECT_GE(created.volume.capacity_bytes(), 10 * kGiB) << "else the provisioner deletes it again";
  EXPECT_LE(created.volume.volume_id().size(), 128U);
  EXPECT_EQ(harness_.daemon().creates().back().claim_namespace(), "team-a");
  ASSERT_THAT(created.volume.accessible_topology(), SizeIs(1));
  EXPECT_THAT(created.volume.volume_context(), ElementsAre(Pair("model", "hf://org/name")));
}

TEST_F(ProvisionerTest, WhatItCreatedIsPublishedWithItsIdentityAdded) {
  Created created = Create(NodeClaim());
  auto request = harness_.Request(created.volume.volume_id(), harness_.MakeTarget("u"));
  *request.mutable_volume_context() = created.volume.volume_context();
  auto& context = *request.mutable_volume_context();
  context["storage.kubernetes.io/csiProvisionerIdentity"] = "1700000000000-7812-csi.weighhouse.dev";
  context["csi.storage.k8s.io/ephemeral"] = "false";
  context["csi.storage.k8s.io/pod.name"] = "p";
  context["csi.storage.k8s.io/pod.namespace"] = "n";
  context["csi.storage.k8s.io/pod.uid"] = "u";
  context["csi.storage.k8s.io/serviceAccount.name"] = "default";
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::OK));
}

TEST_F(ProvisionerTest, EveryNodesInstanceDeletesAVolumeWithoutTopology) {
  Created created = Create(AnyNodeClaim());
  ASSERT_THAT(created.volume.accessible_topology(), IsEmpty());
  const std::string id = created.volume.volume_id();
  OtherNode second, third;
  for (PluginHarness* node : {&second.harness, &harness_, &third.harness}) {
    EXPECT_THAT(DeleteAt(*node, id), HasCode(StatusCode::OK));
    EXPECT_THAT(node->daemon().deletes(), ElementsAre(id));
    EXPECT_THAT(node->daemon().releases(), IsEmpty());
  }
}

TEST_F(ProvisionerTest, TheRegistrarReadsNameAndNode) {
  grpc::ClientContext info, node;
  ::csi::v1::GetPluginInfoResponse info_response;
  ::csi::v1::NodeGetInfoResponse node_response;
  ASSERT_TRUE(harness_.identity().GetPluginInfo(&info, {}, &info_response).ok());
  ASSERT_TRUE(harness_.node().NodeGetInfo(&node, {}, &node_response).ok());
  EXPECT_EQ(info_response.name(), "csi.weighhouse.dev");
  EXPECT_EQ(node_response.node_id(), "test-node");
  EXPECT_EQ(node_response.max_volumes_per_node(), 0);
}

}  // namespace
}  // namespace weighhouse::csi
