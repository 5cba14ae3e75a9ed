// DeleteVolume, ValidateVolumeCapabilities, GetCapacity and the calls that are not offered (facts
// §4.4).
#include "csi/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "csi/capacity.h"
#include "csi/claim.h"
#include "test/csi/controller_test.h"
#include "test/support/captured_log.h"

namespace weighhouse::csi {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using Rpc = ::csi::v1::ControllerServiceCapability_RPC;

using DeleteVolumeTest = ControllerTest;

TEST_F(DeleteVolumeTest, MissingVolumeIdIsInvalidArgument) {
  EXPECT_THAT(Delete(""), HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(DeleteVolumeTest, ForeignOrMalformedIdIsOkWithoutAskingAnyone) {
  std::string inline_id = "csi-" + std::string(64, 'a');
  for (const std::string& id :
       {std::string("reallyfakevolumeid"), std::string("../../etc"), std::string("wh-"),
        "wh-" + std::string(39, 'a'), "wh-" + std::string(40, 'A'), "wh-" + std::string(41, 'a'),
        std::string(5000, 'x'), inline_id}) {
    EXPECT_THAT(Delete(id), HasCode(StatusCode::OK)) << id;
  }
  harness_.daemon().Stop();
  EXPECT_THAT(Delete("reallyfakevolumeid"), HasCode(StatusCode::OK));
  EXPECT_THAT(harness_.daemon().deletes(), IsEmpty());
}

TEST_F(DeleteVolumeTest, UnknownVolumeIsOk) {
  std::string id = VolumeIdOf("pvc-never-made");
  EXPECT_THAT(Delete(id), HasCode(StatusCode::OK));
  EXPECT_THAT(harness_.daemon().deletes(), ElementsAre(id));
  harness_.daemon().RefuseClaims({StatusCode::NOT_FOUND, "unknown"});
  EXPECT_THAT(Delete(id), HasCode(StatusCode::OK));
}

TEST_F(DeleteVolumeTest, AVolumeIsForgottenAndItsNameIsFree) {
  std::string id = Create(NodeClaim()).volume.volume_id();
  EXPECT_THAT(Delete(id), HasCode(StatusCode::OK));
  EXPECT_THAT(Delete(id), HasCode(StatusCode::OK));
  CreateRequest other = NodeClaim();
  other.mutable_capacity_range()->set_required_bytes(20 * kGiB);
  EXPECT_TRUE(Create(other).status.ok());
}

TEST_F(DeleteVolumeTest, StillPublishedHereIsOkAndStaysMounted) {
  Created created = Create(AnyNodeClaim());
  std::string target = harness_.MakeTarget("u");
  ASSERT_TRUE(harness_.Publish(harness_.Request(created.volume.volume_id(), target)).ok());
  EXPECT_THAT(Delete(created.volume.volume_id()), HasCode(StatusCode::OK));
  EXPECT_TRUE(IsMounted(target));
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty());
}

TEST_F(DeleteVolumeTest, DaemonAwayIsUnavailable) {
  harness_.daemon().Stop();
  EXPECT_THAT(Delete(VolumeIdOf("pvc-1")), HasCode(StatusCode::UNAVAILABLE));
}

class ValidateVolumeCapabilitiesTest : public ControllerTest {
 protected:
  using Request = ::csi::v1::ValidateVolumeCapabilitiesRequest;
  Request Ask(::csi::v1::VolumeCapability_AccessMode_Mode mode = Mode::MULTI_NODE_READER_ONLY) {
    Created created = Create(AnyNodeClaim());
    Request request;
    request.set_volume_id(created.volume.volume_id());
    *request.mutable_volume_context() = created.volume.volume_context();
    *request.mutable_parameters() = AnyNodeClaim().parameters();
    *request.add_volume_capabilities() = Capability(mode);
    return request;
  }
  /// Expects no confirmation, and returns why.
  std::string Unconfirmed(const Request& request) {
    Validated validated = Validate(request);
    EXPECT_THAT(validated.status, HasCode(StatusCode::OK));
    EXPECT_FALSE(validated.response.has_confirmed());
    EXPECT_FALSE(validated.response.message().empty());
    return validated.response.message();
  }
};

TEST_F(ValidateVolumeCapabilitiesTest, MissingVolumeIdIsInvalidArgument) {
  Request request = Ask();
  request.clear_volume_id();
  EXPECT_THAT(Validate(request).status, HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(ValidateVolumeCapabilitiesTest, MissingCapabilitiesAreInvalidArgument) {
  Request request = Ask();
  request.clear_volume_capabilities();
  EXPECT_THAT(Validate(request).status, HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(ValidateVolumeCapabilitiesTest, UnknownVolumeIsNotFound) {
  Request request = Ask();
  for (const std::string& id : {VolumeIdOf("never-made"), std::string("a-static-volume")}) {
    request.set_volume_id(id);
    EXPECT_THAT(Validate(request).status, HasCode(StatusCode::NOT_FOUND));
  }
}

TEST_F(ValidateVolumeCapabilitiesTest, SupportedCapabilitiesAreConfirmedAsAsked) {
  for (auto mode : {Mode::SINGLE_NODE_WRITER, Mode::SINGLE_NODE_MULTI_WRITER,
                    Mode::MULTI_NODE_READER_ONLY, Mode::MULTI_NODE_MULTI_WRITER}) {
    Request request = Ask(mode);
    Validated validated = Validate(request);
    ASSERT_THAT(validated.status, HasCode(StatusCode::OK));
    ASSERT_TRUE(validated.response.has_confirmed()) << validated.response.message();
    const auto& confirmed = validated.response.confirmed();
    ASSERT_THAT(confirmed.volume_capabilities(), SizeIs(1));
    EXPECT_EQ(confirmed.volume_capabilities(0).access_mode().mode(), mode);
    EXPECT_EQ(confirmed.volume_context().at("model"), "hf://org/name");
    EXPECT_EQ(confirmed.parameters().at("model"), "hf://org/name");
  }
}

TEST_F(ValidateVolumeCapabilitiesTest, UnsupportedCapabilitiesAreOkWithoutConfirmation) {
  Request block = Ask(), unknown = Ask(Mode::UNKNOWN), flag = Ask();
  block.add_volume_capabilities()->mutable_block();
  flag.mutable_volume_capabilities(0)->mutable_mount()->add_mount_flags("exec");
  EXPECT_THAT(Unconfirmed(block), HasSubstr("block"));
  EXPECT_THAT(Unconfirmed(unknown), HasSubstr("access_mode"));
  EXPECT_THAT(Unconfirmed(flag), HasSubstr("`exec`"));
  Request parameters = Ask(Mode::MULTI_NODE_READER_ONLY), context = parameters;
  (*parameters.mutable_parameters())["access"] = "scratch";
  (*context.mutable_volume_context())["access"] = "scratch";
  EXPECT_THAT(Unconfirmed(parameters), HasSubstr("ReadWriteMany"));
  EXPECT_THAT(Unconfirmed(context), HasSubstr("ReadWriteMany"));
}

TEST_F(ValidateVolumeCapabilitiesTest, WhatNoVolumeIsMadeOfIsNotConfirmed) {
  Request parameters = Ask(), context = Ask(), changes = Ask();
  (*parameters.mutable_parameters())["modle"] = "x";
  (*context.mutable_volume_context())["cachedOnly"] = "true";
  (*changes.mutable_mutable_parameters())["speed"] = "11";
  EXPECT_THAT(Unconfirmed(parameters), HasSubstr("`modle`"));
  EXPECT_THAT(Unconfirmed(context), HasSubstr("`cachedOnly`"));
  EXPECT_THAT(Unconfirmed(changes), HasSubstr("mutable_parameters"));
}

TEST_F(ValidateVolumeCapabilitiesTest, DaemonAwayIsUnavailable) {
  Request request = Ask();
  harness_.daemon().Stop();
  EXPECT_THAT(Validate(request).status, HasCode(StatusCode::UNAVAILABLE));
}

class GetCapacityTest : public ControllerTest {
 protected:
  using Request = ::csi::v1::GetCapacityRequest;
  GetCapacityTest() { harness_.daemon().SetCapacity(Fits()); }
  /// 7 GiB are available; the model has 3 GiB, of which 1 GiB is here.
  static cache::v1::CapacityResponse Fits() {
    cache::v1::CapacityResponse capacity;
    capacity.set_available(static_cast<uint64_t>(7 * kGiB));
    capacity.mutable_model()->set_size(cache::v1::ModelFit::SIZE_KNOWN);
    capacity.mutable_model()->set_fits(true);
    capacity.mutable_model()->set_bytes(static_cast<uint64_t>(3 * kGiB));
    capacity.mutable_model()->set_bytes_missing(static_cast<uint64_t>(2 * kGiB));
    return capacity;
  }
  static Request OfModel() {
    Request request;
    (*request.mutable_parameters())["model"] = "hf://org/name";
    *request.mutable_accessible_topology() = At("test-node");
    return request;
  }
  void ExpectNothingWithoutAskingAnyone(const Request& request) {
    Capacity capacity = GetCapacity(request);
    EXPECT_THAT(capacity.status, HasCode(StatusCode::OK));
    EXPECT_EQ(capacity.response.available_capacity(), 0);
    EXPECT_EQ(capacity.response.maximum_volume_size().value(), 0);
    EXPECT_TRUE(capacity.response.has_maximum_volume_size());
    EXPECT_THAT(harness_.daemon().capacities(), IsEmpty());
  }
};

TEST_F(GetCapacityTest, TheEmptyRequestTellsWhatIsAvailable) {
  Capacity capacity = GetCapacity({});
  ASSERT_THAT(capacity.status, HasCode(StatusCode::OK));
  EXPECT_EQ(capacity.response.available_capacity(), 7 * kGiB);
  EXPECT_FALSE(capacity.response.has_minimum_volume_size());
  ASSERT_THAT(harness_.daemon().capacities(), SizeIs(1));
  EXPECT_FALSE(harness_.daemon().capacities()[0].has_model());
}

TEST_F(GetCapacityTest, AModelThatFitsTakesClaimsOfAnySize) {
  Request request = OfModel();
  (*request.mutable_parameters())["revision"] = "v1";
  Capacity capacity = GetCapacity(request);
  ASSERT_THAT(capacity.status, HasCode(StatusCode::OK));
  EXPECT_EQ(capacity.response.available_capacity(), 8 * kGiB);
  EXPECT_EQ(capacity.response.maximum_volume_size().value(), kAnySize);
  EXPECT_FALSE(capacity.response.has_minimum_volume_size());
  ASSERT_THAT(harness_.daemon().capacities(), SizeIs(1));
  EXPECT_EQ(harness_.daemon().capacities()[0].model().revision(), "v1");
}

TEST_F(GetCapacityTest, CachedOnlyIsWhatTheDaemonIsAskedWith) {
  Request request = OfModel();
  (*request.mutable_parameters())["cachedOnly"] = "true";
  Capacity capacity = GetCapacity(request);
  EXPECT_EQ(capacity.response.maximum_volume_size().value(), 0);
  ASSERT_THAT(harness_.daemon().capacities(), SizeIs(1));
  EXPECT_TRUE(harness_.daemon().capacities()[0].cached_only());
}

TEST_F(GetCapacityTest, ForeignTopologyIsOkAndZero) {
  Request other = OfModel(), zone = OfModel(), both = OfModel();
  *other.mutable_accessible_topology() = At("other-node");
  *zone.mutable_accessible_topology() = At("z", "example.org/zone");
  (*both.mutable_accessible_topology()->mutable_segments())["example.org/zone"] = "z";
  for (const Request& request : {other, zone, both}) ExpectNothingWithoutAskingAnyone(request);
}

TEST_F(GetCapacityTest, UnknownOrMalformedParametersAreOkAndZero) {
  Request unknown = OfModel(), malformed = OfModel(), no_model = OfModel();
  (*unknown.mutable_parameters())["zzz"] = "";
  (*malformed.mutable_parameters())["model"] = "ftp://x";
  no_model.clear_parameters();
  (*no_model.mutable_parameters())["layout"] = "hub";
  for (const Request& request : {unknown, malformed, no_model}) {
    ExpectNothingWithoutAskingAnyone(request);
  }
}

TEST_F(GetCapacityTest, AClassThatMeansNothingIsWarnedOfOnce) {
  CapturedLog log;
  Request first = OfModel(), second = OfModel();
  (*first.mutable_parameters())["zzz"] = "";
  (*second.mutable_parameters())["layout"] = "tree";
  for (int i = 0; i < 3; ++i) {
    for (const Request& request : {first, second}) ExpectNothingWithoutAskingAnyone(request);
  }
  harness_.StopPlugin();
  std::string warning = "capacity of a StorageClass: ", text = log.text();
  EXPECT_THAT(text, HasSubstr(warning + "unknown parameter `zzz`"));
  EXPECT_THAT(text, HasSubstr(warning + "layout"));
  size_t warnings = 0;
  for (size_t at = text.find(warning); at != text.npos; at = text.find(warning, at + 1)) ++warnings;
  EXPECT_EQ(warnings, 2u);
}

TEST_F(GetCapacityTest, CapabilitiesThatNoVolumeHasAreOkAndZero) {
  Request block = OfModel(), flag = OfModel();
  block.add_volume_capabilities()->mutable_block();
  *flag.add_volume_capabilities() = Capability(Mode::UNKNOWN);
  flag.mutable_volume_capabilities(0)->mutable_mount()->add_mount_flags("exec");
  for (const Request& request : {block, flag}) ExpectNothingWithoutAskingAnyone(request);
}

TEST_F(GetCapacityTest, DaemonAwayIsUnavailable) {
  harness_.daemon().Stop();
  EXPECT_THAT(GetCapacity({}).status, HasCode(StatusCode::UNAVAILABLE));
}

using ControllerCapabilitiesTest = ControllerTest;

TEST_F(ControllerCapabilitiesTest, VolumesCapacityAndMultiWriterAreClaimed) {
  grpc::ClientContext context;
  ::csi::v1::ControllerGetCapabilitiesResponse response;
  ASSERT_TRUE(harness_.controller().ControllerGetCapabilities(&context, {}, &response).ok());
  std::vector<int> types;
  for (const auto& capability : response.capabilities()) types.push_back(capability.rpc().type());
  EXPECT_THAT(types, UnorderedElementsAre(Rpc::CREATE_DELETE_VOLUME, Rpc::GET_CAPACITY,
                                          Rpc::SINGLE_NODE_MULTI_WRITER));
}

TEST_F(ControllerCapabilitiesTest, WhatIsNotClaimedIsUnimplemented) {
  auto expect = [this](const std::string& name, auto method, const auto& request, auto response) {
    grpc::ClientContext context;
    grpc::Status status = (harness_.controller().*method)(&context, request, &response);
    EXPECT_THAT(status, HasCode(StatusCode::UNIMPLEMENTED)) << name;
    EXPECT_EQ(status.error_message(), name + " is not offered by this driver");
  };
  using Stub = ::csi::v1::Controller::Stub;
  namespace v1 = ::csi::v1;
  expect("ControllerPublishVolume", &Stub::ControllerPublishVolume,
         v1::ControllerPublishVolumeRequest(), v1::ControllerPublishVolumeResponse());
  expect("ControllerUnpublishVolume", &Stub::ControllerUnpublishVolume,
         v1::ControllerUnpublishVolumeRequest(), v1::ControllerUnpublishVolumeResponse());
  expect("ListVolumes", &Stub::ListVolumes, v1::ListVolumesRequest(), v1::ListVolumesResponse());
  expect("CreateSnapshot", &Stub::CreateSnapshot, v1::CreateSnapshotRequest(),
         v1::CreateSnapshotResponse());
  expect("DeleteSnapshot", &Stub::DeleteSnapshot, v1::DeleteSnapshotRequest(),
         v1::DeleteSnapshotResponse());
  expect("ListSnapshots", &Stub::ListSnapshots, v1::ListSnapshotsRequest(),
         v1::ListSnapshotsResponse());
  expect("GetSnapshot", &Stub::GetSnapshot, v1::GetSnapshotRequest(), v1::GetSnapshotResponse());
  expect("ControllerExpandVolume", &Stub::ControllerExpandVolume,
         v1::ControllerExpandVolumeRequest(), v1::ControllerExpandVolumeResponse());
  expect("ControllerGetVolume", &Stub::ControllerGetVolume, v1::ControllerGetVolumeRequest(),
         v1::ControllerGetVolumeResponse());
  expect("ControllerModifyVolume", &Stub::ControllerModifyVolume,
         v1::ControllerModifyVolumeRequest(), v1::ControllerModifyVolumeResponse());
}

}  // namespace
}  // namespace weighhouse::csi
