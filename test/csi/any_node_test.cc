// A claim's volume on a node that never heard of it: everything comes with the publish.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/controller_test.h"

namespace weighhouse::csi {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class AnyNodeTest : public ControllerTest {
 protected:
  /// What that node answers to `request`.
  ::csi::v1::Volume MadeElsewhere(const CreateRequest& request) {
    making_node_.harness.daemon().Resolve(kCommit, 0);
    grpc::ClientContext context;
    ::csi::v1::CreateVolumeResponse response;
    grpc::Status status =
        making_node_.harness.controller().CreateVolume(&context, request, &response);
    EXPECT_THAT(status, HasCode(StatusCode::OK));
    return response.volume();
  }
  grpc::Status PublishHere(const ::csi::v1::Volume& volume, const std::string& pod,
                           ::csi::v1::VolumeCapability_AccessMode_Mode mode,
                           bool readonly = false) {
    auto request = RequestWithMode(volume.volume_id(), harness_.MakeTarget(pod), mode);
    *request.mutable_volume_context() = volume.volume_context();
    request.set_readonly(readonly);
    return harness_.Publish(request);
  }

  OtherNode making_node_;
};

TEST_F(AnyNodeTest, AVolumeMadeElsewhereIsPublishedFromItsContext) {
  CreateRequest claim = AnyNodeClaim();
  (*claim.mutable_parameters())["revision"] = "main";
  (*claim.mutable_parameters())["layout"] = "hub";
  (*claim.mutable_parameters())["placement"] = "any";
  (*claim.mutable_parameters())["cachedOnly"] = "false";
  ::csi::v1::Volume volume = MadeElsewhere(claim);
  EXPECT_THAT(volume.accessible_topology(), IsEmpty());
  EXPECT_THAT(PublishHere(volume, "u", Mode::MULTI_NODE_MULTI_WRITER), HasCode(StatusCode::OK));
  ASSERT_THAT(harness_.daemon().acquires(), SizeIs(1));
  const cache::v1::AcquireRequest sent = harness_.daemon().acquires()[0];
  EXPECT_EQ(sent.model().uri(), "hf://org/name");
  EXPECT_EQ(sent.model().revision(), "main");
  EXPECT_EQ(sent.model().commit(), kCommit) << "the same bytes as on every other node";
  EXPECT_EQ(sent.layout(), cache::v1::LAYOUT_HUB);
  EXPECT_EQ(sent.holder().volume_id(), volume.volume_id());
}

TEST_F(AnyNodeTest, EveryAccessModeIsOkAndMountedSuchThatNobodyWrites) {
  int pod = 0;
  for (auto mode :
       {Mode::MULTI_NODE_READER_ONLY, Mode::MULTI_NODE_MULTI_WRITER, Mode::MULTI_NODE_SINGLE_WRITER,
        Mode::SINGLE_NODE_WRITER, Mode::SINGLE_NODE_READER_ONLY, Mode::SINGLE_NODE_SINGLE_WRITER,
        Mode::SINGLE_NODE_MULTI_WRITER}) {
    ::csi::v1::Volume volume = MadeElsewhere(CreateOf("pvc-" + std::to_string(mode), mode));
    EXPECT_THAT(PublishHere(volume, "u" + std::to_string(++pod), mode), HasCode(StatusCode::OK));
    EXPECT_EQ(mounter_.last_protection(), Protection::kIdmappedBind) << mode;
    EXPECT_THAT(PublishHere(volume, "u" + std::to_string(++pod), mode, /*readonly=*/true),
                HasCode(mode == Mode::SINGLE_NODE_SINGLE_WRITER ? StatusCode::FAILED_PRECONDITION
                                                                : StatusCode::OK));
  }
}

TEST_F(AnyNodeTest, PodsOfTwoClaimsModesShareOneVolume) {
  ::csi::v1::Volume volume = MadeElsewhere(AnyNodeClaim());
  for (const char* pod : {"a", "b", "c"}) {
    EXPECT_THAT(PublishHere(volume, pod, Mode::MULTI_NODE_MULTI_WRITER), HasCode(StatusCode::OK));
  }
  EXPECT_EQ(mounter_.mounts_made(), 3);
}

TEST_F(AnyNodeTest, DeletingItHereIsOkThoughItWasMadeElsewhere) {
  ::csi::v1::Volume volume = MadeElsewhere(AnyNodeClaim());
  EXPECT_THAT(Delete(volume.volume_id()), HasCode(StatusCode::OK));
  EXPECT_THAT(harness_.daemon().deletes(), ElementsAre(volume.volume_id()));
}

TEST_F(AnyNodeTest, WhereAClaimIsPlacedInAVolumeIsInvalidArgument) {
  for (const char* key : {"cachedOnly", "placement"}) {
    auto request = harness_.Request("static", harness_.MakeTarget("u"));
    (*request.mutable_volume_context())[key] = "any";
    grpc::Status status = harness_.Publish(request);
    EXPECT_THAT(status, HasCode(StatusCode::INVALID_ARGUMENT));
    EXPECT_THAT(status.error_message(), AllOf(HasSubstr(key), HasSubstr("StorageClass")));
  }
}

TEST_F(AnyNodeTest, ACommitThatIsNoneIsInvalidArgument) {
  auto request = harness_.Request("v", harness_.MakeTarget("u"));
  for (const char* commit : {"main", "0123", "0123456789ABCDEF0123456789ABCDEF01234567"}) {
    (*request.mutable_volume_context())["commit"] = commit;
    EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::INVALID_ARGUMENT)) << commit;
  }
  (*request.mutable_volume_context())["commit"] = kCommit;
  (*request.mutable_volume_context())["model"] = "file:///models/x";
  grpc::Status status = harness_.Publish(request);
  EXPECT_THAT(status, HasCode(StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(status.error_message(), HasSubstr("no commits"));
}

TEST_F(AnyNodeTest, AnotherCommitAtTheSameTargetIsAlreadyExists) {
  ::csi::v1::Volume volume = MadeElsewhere(AnyNodeClaim());
  ASSERT_THAT(PublishHere(volume, "u", Mode::MULTI_NODE_READER_ONLY), HasCode(StatusCode::OK));
  (*volume.mutable_volume_context())["commit"] = std::string(40, 'f');
  EXPECT_THAT(PublishHere(volume, "u", Mode::MULTI_NODE_READER_ONLY),
              HasCode(StatusCode::ALREADY_EXISTS));
}

}  // namespace
}  // namespace weighhouse::csi
