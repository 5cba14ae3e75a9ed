// Pins what kubelet and the sidecars rely on: names, numbers and types of the wire, as the CSI
// specification 1.12 has them.
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "proto/csi.pb.h"

namespace weighhouse::csi {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;
using testing::ElementsAreArray;

/// "number name: type", in the order of the file.
std::vector<std::string> Fields(const std::string& message) {
  ::csi::v1::ProbeRequest::descriptor();  // links the file in
  const Descriptor* type =
      DescriptorPool::generated_pool()->FindMessageTypeByName("csi.v1." + message);
  if (type == nullptr) return {"no such message"};
  std::vector<std::string> fields;
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    std::string name = field->type_name();
    if (field->message_type() != nullptr) name = field->message_type()->name();
    if (field->enum_type() != nullptr) name = field->enum_type()->name();
    if (field->is_map()) {
      name = "map";
    } else if (field->is_repeated()) {
      name = "repeated " + name;
    }
    if (field->options().GetExtension(::csi::v1::csi_secret)) name += " secret";
    if (field->real_containing_oneof() != nullptr) name += " oneof";
    fields.push_back(std::to_string(field->number()) + " " + field->name() + ": " + name);
  }
  return fields;
}

std::vector<std::string> Values(const std::string& enumeration) {
  const EnumDescriptor* type =
      DescriptorPool::generated_pool()->FindEnumTypeByName("csi.v1." + enumeration);
  if (type == nullptr) return {"no such enum"};
  std::vector<std::string> values;
  for (int i = 0; i < type->value_count(); ++i) {
    values.push_back(std::to_string(type->value(i)->number()) + " " + type->value(i)->name());
  }
  return values;
}

/// "/service/method request -> response".
std::vector<std::string> Methods(const std::string& service) {
  const ServiceDescriptor* type =
      DescriptorPool::generated_pool()->FindServiceByName("csi.v1." + service);
  if (type == nullptr) return {"no such service"};
  std::vector<std::string> methods;
  for (int i = 0; i < type->method_count(); ++i) {
    const MethodDescriptor* method = type->method(i);
    EXPECT_FALSE(method->client_streaming() || method->server_streaming()) << method->full_name();
    EXPECT_EQ(method->input_type()->name(), method->name() + "Request");
    EXPECT_EQ(method->output_type()->name(), method->name() + "Response");
    methods.push_back("/" + type->full_name() + "/" + method->name());
  }
  return methods;
}

using Messages = std::map<std::string, std::vector<std::string>>;

void ExpectFields(const Messages& messages) {
  for (const auto& [message, fields] : messages) {
    EXPECT_THAT(Fields(message), ElementsAreArray(fields)) << message;
  }
}

TEST(CsiProtoTest, ServicesAnswerAtTheContractsPaths) {
  EXPECT_THAT(Methods("Identity"), ElementsAreArray({"/csi.v1.Identity/GetPluginInfo",
                                                     "/csi.v1.Identity/GetPluginCapabilities",
                                                     "/csi.v1.Identity/Probe"}));
  EXPECT_THAT(
      Methods("Node"),
      ElementsAreArray({"/csi.v1.Node/NodeStageVolume", "/csi.v1.Node/NodeUnstageVolume",
                        "/csi.v1.Node/NodePublishVolume", "/csi.v1.Node/NodeUnpublishVolume",
                        "/csi.v1.Node/NodeGetVolumeStats", "/csi.v1.Node/NodeExpandVolume",
                        "/csi.v1.Node/NodeGetCapabilities", "/csi.v1.Node/NodeGetInfo"}));
  EXPECT_EQ(Methods("Controller").size(), 15U);
}

TEST(CsiProtoTest, IdentityMessagesHaveTheContractsNumbers) {
  ExpectFields({
      {"GetPluginInfoRequest", {}},
      {"GetPluginInfoResponse", {"1 name: string", "2 vendor_version: string", "3 manifest: map"}},
      {"GetPluginCapabilitiesRequest", {}},
      {"GetPluginCapabilitiesResponse", {"1 capabilities: repeated PluginCapability"}},
      {"PluginCapability",
       {"1 service: Service oneof", "2 volume_expansion: VolumeExpansion oneof"}},
      {"PluginCapability.Service", {"1 type: Type"}},
      {"PluginCapability.VolumeExpansion", {"1 type: Type"}},
      {"ProbeRequest", {}},
      {"ProbeResponse", {"1 ready: BoolValue"}},
  });
  EXPECT_THAT(
      Values("PluginCapability.Service.Type"),
      ElementsAreArray({"0 UNKNOWN", "1 CONTROLLER_SERVICE", "2 VOLUME_ACCESSIBILITY_CONSTRAINTS",
                        "3 GROUP_CONTROLLER_SERVICE", "4 SNAPSHOT_METADATA_SERVICE"}));
  EXPECT_THAT(Values("PluginCapability.VolumeExpansion.Type"),
              ElementsAreArray({"0 UNKNOWN", "1 ONLINE", "2 OFFLINE"}));
}

TEST(CsiProtoTest, PublishMessagesHaveTheContractsNumbers) {
  ExpectFields({
      {"NodeStageVolumeRequest",
       {"1 volume_id: string", "2 publish_context: map", "3 staging_target_path: string",
        "4 volume_capability: VolumeCapability", "5 secrets: map secret", "6 volume_context: map"}},
      {"NodeStageVolumeResponse", {}},
      {"NodeUnstageVolumeRequest", {"1 volume_id: string", "2 staging_target_path: string"}},
      {"NodeUnstageVolumeResponse", {}},
      {"NodePublishVolumeRequest",
       {"1 volume_id: string", "2 publish_context: map", "3 staging_target_path: string",
        "4 target_path: string", "5 volume_capability: VolumeCapability", "6 readonly: bool",
        "7 secrets: map secret", "8 volume_context: map"}},
      {"NodePublishVolumeResponse", {}},
      {"NodeUnpublishVolumeRequest", {"1 volume_id: string", "2 target_path: string"}},
      {"NodeUnpublishVolumeResponse", {}},
      {"VolumeCapability",
       {"1 block: BlockVolume oneof", "2 mount: MountVolume oneof", "3 access_mode: AccessMode"}},
      {"VolumeCapability.BlockVolume", {}},
      {"VolumeCapability.MountVolume",
       {"1 fs_type: string", "2 mount_flags: repeated string", "3 volume_mount_group: string"}},
      {"VolumeCapability.AccessMode", {"1 mode: Mode"}},
  });
  EXPECT_THAT(Values("VolumeCapability.AccessMode.Mode"),
              ElementsAreArray({"0 UNKNOWN", "1 SINGLE_NODE_WRITER", "2 SINGLE_NODE_READER_ONLY",
                                "3 MULTI_NODE_READER_ONLY", "4 MULTI_NODE_SINGLE_WRITER",
                                "5 MULTI_NODE_MULTI_WRITER", "6 SINGLE_NODE_SINGLE_WRITER",
                                "7 SINGLE_NODE_MULTI_WRITER"}));
}

TEST(CsiProtoTest, OtherNodeMessagesHaveTheContractsNumbers) {
  ExpectFields({
      {"NodeGetVolumeStatsRequest",
       {"1 volume_id: string", "2 volume_path: string", "3 staging_target_path: string"}},
      {"NodeGetVolumeStatsResponse",
       {"1 usage: repeated VolumeUsage", "2 volume_condition: VolumeCondition"}},
      {"VolumeUsage", {"1 available: int64", "2 total: int64", "3 used: int64", "4 unit: Unit"}},
      {"VolumeCondition", {"1 abnormal: bool", "2 message: string"}},
      {"NodeGetCapabilitiesRequest", {}},
      {"NodeGetCapabilitiesResponse", {"1 capabilities: repeated NodeServiceCapability"}},
      {"NodeServiceCapability", {"1 rpc: RPC oneof"}},
      {"NodeServiceCapability.RPC", {"1 type: Type"}},
      {"NodeGetInfoRequest", {}},
      {"NodeGetInfoResponse",
       {"1 node_id: string", "2 max_volumes_per_node: int64", "3 accessible_topology: Topology"}},
      {"Topology", {"1 segments: map"}},
      {"NodeExpandVolumeRequest",
       {"1 volume_id: string", "2 volume_path: string", "3 capacity_range: CapacityRange",
        "4 staging_target_path: string", "5 volume_capability: VolumeCapability",
        "6 secrets: map secret"}},
      {"NodeExpandVolumeResponse", {"1 capacity_bytes: int64"}},
      {"CapacityRange", {"1 required_bytes: int64", "2 limit_bytes: int64"}},
  });
  EXPECT_THAT(Values("VolumeUsage.Unit"), ElementsAreArray({"0 UNKNOWN", "1 BYTES", "2 INODES"}));
  EXPECT_THAT(Values("NodeServiceCapability.RPC.Type"),
              ElementsAreArray({"0 UNKNOWN", "1 STAGE_UNSTAGE_VOLUME", "2 GET_VOLUME_STATS",
                                "3 EXPAND_VOLUME", "4 VOLUME_CONDITION",
                                "5 SINGLE_NODE_MULTI_WRITER", "6 VOLUME_MOUNT_GROUP"}));
}

TEST(CsiProtoTest, ControllerMessagesHaveTheContractsNumbers) {
  ExpectFields({
      {"CreateVolumeRequest",
       {"1 name: string", "2 capacity_range: CapacityRange",
        "3 volume_capabilities: repeated VolumeCapability", "4 parameters: map",
        "5 secrets: map secret", "6 volume_content_source: VolumeContentSource",
        "7 accessibility_requirements: TopologyRequirement", "8 mutable_parameters: map"}},
      {"Volume",
       {"1 capacity_bytes: int64", "2 volume_id: string", "3 volume_context: map",
        "4 content_source: VolumeContentSource", "5 accessible_topology: repeated Topology"}},
      {"DeleteVolumeRequest", {"1 volume_id: string", "2 secrets: map secret"}},
      {"GetCapacityRequest",
       {"1 volume_capabilities: repeated VolumeCapability", "2 parameters: map",
        "3 accessible_topology: Topology"}},
      {"GetCapacityResponse",
       {"1 available_capacity: int64", "2 maximum_volume_size: Int64Value",
        "3 minimum_volume_size: Int64Value"}},
  });
}

TEST(CsiProtoTest, MarksHaveTheContractsNumbers) {
  EXPECT_EQ(::csi::v1::csi_secret.number(), 1059);
  EXPECT_EQ(::csi::v1::alpha_field.number(), 1060);
  EXPECT_EQ(::csi::v1::alpha_enum_value.number(), 1060);
  EXPECT_EQ(::csi::v1::alpha_message.number(), 1060);
  EXPECT_EQ(::csi::v1::alpha_method.number(), 1060);
}

}  // namespace
}  // namespace weighhouse::csi
