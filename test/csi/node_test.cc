// Identity, NodeUnpublishVolume, NodeGetVolumeStats and the calls that need no volume (facts §4.4).
#include "csi/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/plugin_test.h"

namespace weighhouse::csi {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Pair;
using testing::UnorderedElementsAre;
namespace fs = std::filesystem;
using NodeRpc = ::csi::v1::NodeServiceCapability_RPC;

using IdentityTest = PluginTest;
using NodeTest = PluginTest;
using NodeUnpublishTest = PluginTest;
using NodeGetVolumeStatsTest = PluginTest;

TEST_F(IdentityTest, PluginInfoHasNameAndVersion) {
  grpc::ClientContext context;
  ::csi::v1::GetPluginInfoResponse response;
  ASSERT_TRUE(harness_.identity().GetPluginInfo(&context, {}, &response).ok());
  // csi-sanity's form; a missing version ends the sidecars.
  EXPECT_THAT(response.name(), MatchesRegex("[a-zA-Z][-A-Za-z0-9._]{0,61}[a-zA-Z]"));
  EXPECT_FALSE(response.vendor_version().empty());
}

TEST_F(IdentityTest, ControllerAndTopologyAreClaimed) {
  grpc::ClientContext context;
  ::csi::v1::GetPluginCapabilitiesResponse response;
  ASSERT_TRUE(harness_.identity().GetPluginCapabilities(&context, {}, &response).ok());
  std::vector<int> types;
  for (const auto& capability : response.capabilities()) {
    types.push_back(capability.service().type());
  }
  using Service = ::csi::v1::PluginCapability_Service;
  EXPECT_THAT(types, UnorderedElementsAre(Service::CONTROLLER_SERVICE,
                                          Service::VOLUME_ACCESSIBILITY_CONSTRAINTS));
}

TEST_F(IdentityTest, ProbeIsReadyWithoutTheDaemon) {
  harness_.daemon().Stop();
  grpc::ClientContext context;
  ::csi::v1::ProbeResponse response;
  ASSERT_TRUE(harness_.identity().Probe(&context, {}, &response).ok());
  EXPECT_TRUE(response.ready().value());
}

TEST_F(NodeTest, CapabilitiesAreStatsConditionAndMultiWriter) {
  grpc::ClientContext context;
  ::csi::v1::NodeGetCapabilitiesResponse response;
  ASSERT_TRUE(harness_.node().NodeGetCapabilities(&context, {}, &response).ok());
  std::vector<int> types;
  for (const auto& capability : response.capabilities()) types.push_back(capability.rpc().type());
  EXPECT_THAT(types, UnorderedElementsAre(NodeRpc::GET_VOLUME_STATS, NodeRpc::VOLUME_CONDITION,
                                          NodeRpc::SINGLE_NODE_MULTI_WRITER));
}

TEST_F(NodeTest, InfoIsTheNodeIdAndTopologyWithoutALimit) {
  grpc::ClientContext context;
  ::csi::v1::NodeGetInfoResponse response;
  ASSERT_TRUE(harness_.node().NodeGetInfo(&context, {}, &response).ok());
  EXPECT_EQ(response.node_id(), "test-node");
  EXPECT_EQ(response.max_volumes_per_node(), 0);
  EXPECT_THAT(response.accessible_topology().segments(),
              ElementsAre(Pair("topology.csi.weighhouse.dev/node", "test-node")));
}

TEST_F(NodeTest, StageUnstageAndExpandAreUnimplemented) {
  grpc::ClientContext stage, unstage, expand;
  ::csi::v1::NodeStageVolumeResponse stage_response;
  ::csi::v1::NodeUnstageVolumeResponse unstage_response;
  ::csi::v1::NodeExpandVolumeResponse expand_response;
  EXPECT_THAT(harness_.node().NodeStageVolume(&stage, {}, &stage_response),
              HasCode(StatusCode::UNIMPLEMENTED));
  EXPECT_THAT(harness_.node().NodeUnstageVolume(&unstage, {}, &unstage_response),
              HasCode(StatusCode::UNIMPLEMENTED));
  grpc::Status status = harness_.node().NodeExpandVolume(&expand, {}, &expand_response);
  EXPECT_THAT(status, HasCode(StatusCode::UNIMPLEMENTED));
  EXPECT_EQ(status.error_message(), "NodeExpandVolume is not offered by this driver");
}

TEST_F(NodeUnpublishTest, MissingVolumeIdIsInvalidArgument) {
  EXPECT_THAT(harness_.Unpublish("", harness_.MakeTarget("u")),
              HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(NodeUnpublishTest, MissingTargetPathIsInvalidArgument) {
  EXPECT_THAT(harness_.Unpublish("v", ""), HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(NodeUnpublishTest, UnknownVolumeIsOk) {
  EXPECT_TRUE(harness_.Unpublish("never-seen", harness_.MakeTarget("u")).ok());
}

TEST_F(NodeUnpublishTest, AbsentPathIsOk) {
  std::string target = (harness_.kubelet_root() / "pods/gone/volumes/x/y/mount").string();
  EXPECT_TRUE(harness_.Unpublish("v", target).ok());
  EXPECT_THAT(harness_.daemon().releases(), ElementsAre(LeaseOf(target)));
}

TEST_F(NodeUnpublishTest, RemovesMountDirectoryAndLeaseAndIsRepeatable) {
  std::string target = harness_.MakeTarget("u");
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", target)).ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(harness_.Unpublish("v", target).ok());
    EXPECT_FALSE(IsMounted(target));
    EXPECT_FALSE(fs::exists(target));
  }
  EXPECT_TRUE(fs::exists(fs::path(target).parent_path())) << "kubelet's";
  EXPECT_EQ(harness_.daemon().releases().front(), LeaseOf(target));
}

TEST_F(NodeUnpublishTest, DirectoryLeftByARebootIsRemoved) {
  std::string target = harness_.MakeTarget("u");
  fs::create_directory(target);
  EXPECT_TRUE(harness_.Unpublish("v", target).ok());
  EXPECT_FALSE(fs::exists(target));
}

TEST_F(NodeUnpublishTest, FilesAtTheTargetAreFailedPreconditionAndNeverRemoved) {
  std::string target = harness_.MakeTarget("u");
  WriteTestFile(fs::path(target) / "precious", "x");
  EXPECT_THAT(harness_.Unpublish("v", target), HasCode(StatusCode::FAILED_PRECONDITION));
  EXPECT_EQ(ReadTestFile(fs::path(target) / "precious"), "x");
}

TEST_F(NodeUnpublishTest, DaemonAwayIsOk) {
  std::string target = harness_.MakeTarget("u");
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", target)).ok());
  harness_.daemon().Stop();
  EXPECT_TRUE(harness_.Unpublish("v", target).ok());
  EXPECT_FALSE(IsMounted(target));
}

TEST_F(NodeUnpublishTest, StackedMountsAreAllTakenAway) {
  std::string target = harness_.MakeTarget("u");
  fs::create_directory(target);
  for (int i = 0; i < 3; ++i) mounter_.AddForeign(target);
  EXPECT_TRUE(harness_.Unpublish("v", target).ok());
  EXPECT_FALSE(IsMounted(target));
}

TEST_F(NodeUnpublishTest, OnePodsUnpublishLeavesTheOthersMount) {
  std::string first = harness_.MakeTarget("a"), second = harness_.MakeTarget("b");
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", first)).ok());
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", second)).ok());
  EXPECT_TRUE(harness_.Unpublish("v", first).ok());
  EXPECT_TRUE(IsMounted(second));
  EXPECT_THAT(harness_.daemon().releases(), ElementsAre(LeaseOf(first)));
}

TEST_F(NodeGetVolumeStatsTest, MissingVolumeIdIsInvalidArgument) {
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  EXPECT_THAT(harness_.Stats("", "/x", &stats), HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(NodeGetVolumeStatsTest, MissingPathIsInvalidArgument) {
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  EXPECT_THAT(harness_.Stats("v", "", &stats), HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(NodeGetVolumeStatsTest, UnknownVolumeIsNotFoundWhateverThePath) {
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  for (const std::string& path :
       {std::string("some/path"), std::string("/etc"), harness_.MakeTarget("u")}) {
    EXPECT_THAT(harness_.Stats("unknown", path, &stats), HasCode(StatusCode::NOT_FOUND));
  }
}

TEST_F(NodeGetVolumeStatsTest, PathThatIsNoPublishOfTheVolumeIsNotFound) {
  std::string target = harness_.MakeTarget("u");
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", target)).ok());
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  EXPECT_THAT(harness_.Stats("v", target + "x", &stats), HasCode(StatusCode::NOT_FOUND));
  EXPECT_THAT(harness_.Stats("other", target, &stats), HasCode(StatusCode::NOT_FOUND));
  ASSERT_TRUE(harness_.Unpublish("v", target).ok());
  EXPECT_THAT(harness_.Stats("v", target, &stats), HasCode(StatusCode::NOT_FOUND));
}

TEST_F(NodeGetVolumeStatsTest, AVolumesOwnSizesAreTold) {
  std::string target = harness_.MakeTarget("u");
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", target)).ok());
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  ASSERT_TRUE(harness_.Stats("v", target, &stats).ok());
  ASSERT_EQ(stats.usage_size(), 2);
  EXPECT_EQ(stats.usage(0).unit(), ::csi::v1::VolumeUsage::BYTES);
  EXPECT_EQ(stats.usage(0).total(), 4096);
  EXPECT_EQ(stats.usage(0).used(), 4096);
  EXPECT_EQ(stats.usage(0).available(), 0);
  EXPECT_EQ(stats.usage(1).unit(), ::csi::v1::VolumeUsage::INODES);
  EXPECT_EQ(stats.usage(1).used(), 3);
  EXPECT_FALSE(stats.volume_condition().abnormal());
  EXPECT_FALSE(stats.volume_condition().message().empty());
}

TEST_F(NodeGetVolumeStatsTest, AVolumeWhoseTreeIsGoneIsAbnormal) {
  std::string target = harness_.MakeTarget("u");
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", target)).ok());
  mounter_.MarkDeleted(target);
  ::csi::v1::NodeGetVolumeStatsResponse stats;
  ASSERT_TRUE(harness_.Stats("v", target, &stats).ok());
  EXPECT_TRUE(stats.volume_condition().abnormal());
}

}  // namespace
}  // namespace weighhouse::csi
