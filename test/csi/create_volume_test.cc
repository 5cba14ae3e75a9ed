// CreateVolume: what is refused, with which code, and what a volume carries (facts §4.4).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "csi/claim.h"
#include "test/csi/controller_test.h"

namespace weighhouse::csi {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::Pair;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class CreateVolumeTest : public ControllerTest {
 protected:
  /// Expects a refusal that the daemon never hears of, and returns its words.
  std::string Refused(const CreateRequest& request,
                      StatusCode code = StatusCode::INVALID_ARGUMENT) {
    grpc::Status status = Create(request).status;
    EXPECT_THAT(status, HasCode(code));
    EXPECT_THAT(harness_.daemon().creates(), IsEmpty());
    return status.error_message();
  }
  static CreateRequest With(const std::string& parameter, const std::string& value) {
    CreateRequest request = NodeClaim();
    (*request.mutable_parameters())[parameter] = value;
    return request;
  }
};

TEST_F(CreateVolumeTest, MissingNameIsInvalidArgument) {
  EXPECT_THAT(Refused(NodeClaim("")), HasSubstr("name"));
}

TEST_F(CreateVolumeTest, NameThatIsTooLongOrUnprintableIsInvalidArgument) {
  Refused(NodeClaim(std::string(129, 'x')));
  Refused(NodeClaim("a\nb"));
  EXPECT_TRUE(Create(NodeClaim(std::string(128, 'x'))).status.ok());
}

TEST_F(CreateVolumeTest, MissingOrHalfCapabilitiesAreInvalidArgument) {
  CreateRequest none = NodeClaim(), no_type = NodeClaim(), no_mode = NodeClaim();
  none.clear_volume_capabilities();
  no_type.mutable_volume_capabilities(0)->clear_access_type();
  no_mode.mutable_volume_capabilities(0)->clear_access_mode();
  for (const auto& half : {none, no_type, no_mode}) Refused(half);
}

TEST_F(CreateVolumeTest, AnyCapabilityThatIsWrongIsInvalidArgument) {
  CreateRequest block = NodeClaim(), flag = NodeClaim(), mode = NodeClaim();
  block.add_volume_capabilities()->mutable_block();
  *flag.add_volume_capabilities() = Capability(Mode::MULTI_NODE_READER_ONLY);
  flag.mutable_volume_capabilities(1)->mutable_mount()->add_mount_flags("exec");
  *mode.add_volume_capabilities() =
      Capability(static_cast<::csi::v1::VolumeCapability_AccessMode_Mode>(99));
  EXPECT_THAT(Refused(block), HasSubstr("volumeMode: Filesystem"));
  EXPECT_THAT(Refused(flag), HasSubstr("`exec`"));
  EXPECT_THAT(Refused(mode), HasSubstr("99"));
}

TEST_F(CreateVolumeTest, ScratchForWhoOnlyReadsIsInvalidArgument) {
  CreateRequest reader = With("access", "scratch"), also = With("access", "scratch"),
                flag = With("access", "scratch");
  *reader.mutable_volume_capabilities(0) = Capability(Mode::SINGLE_NODE_READER_ONLY);
  // Kubelet publishes with the first of a claim's modes, whichever that is.
  *also.add_volume_capabilities() = Capability(Mode::MULTI_NODE_READER_ONLY);
  flag.mutable_volume_capabilities(0)->mutable_mount()->add_mount_flags("ro");
  for (const auto& request : {reader, also}) {
    EXPECT_THAT(Refused(request),
                AllOf(HasSubstr("ReadWriteMany"), HasSubstr("`access: readOnly`")));
  }
  EXPECT_THAT(Refused(flag), HasSubstr("`mountOptions`"));
  EXPECT_TRUE(Create(With("access", "scratch")).status.ok());
}

TEST_F(CreateVolumeTest, ContentSourceIsInvalidArgument) {
  CreateRequest snapshot = NodeClaim(), clone = NodeClaim(), neither = NodeClaim();
  snapshot.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id("s");
  clone.mutable_volume_content_source()->mutable_volume()->set_volume_id("v");
  neither.mutable_volume_content_source();
  for (const auto& request : {snapshot, clone, neither}) {
    EXPECT_THAT(Refused(request), HasSubstr("dataSource"));
  }
}

TEST_F(CreateVolumeTest, MutableParametersAreInvalidArgument) {
  CreateRequest request = NodeClaim();
  (*request.mutable_mutable_parameters())["speed"] = "11";
  EXPECT_THAT(Refused(request),
              AllOf(HasSubstr("`speed`"), HasSubstr("volumeAttributesClassName")));
}

TEST_F(CreateVolumeTest, UnknownParameterIsInvalidArgumentAndNamed) {
  EXPECT_THAT(Refused(With("alowPatterns", "*")),
              AllOf(HasSubstr("`alowPatterns`"), HasSubstr("`allowPatterns`")));
  EXPECT_THAT(Refused(With("cachedonly", "true")), HasSubstr("`cachedOnly`"));
  EXPECT_THAT(Refused(With("zzzzzz", "")), AllOf(HasSubstr("known are"), HasSubstr("placement")));
}

TEST_F(CreateVolumeTest, MalformedParameterIsInvalidArgument) {
  Refused(With("model", "ftp://x"));
  Refused(With("layout", "tree"));
  Refused(With("allowPatterns", "[1]"));
  EXPECT_THAT(Refused(With("cachedOnly", "yes")), AllOf(HasSubstr("`yes`"), HasSubstr("\"true\"")));
  EXPECT_THAT(Refused(With("placement", "zone")), AllOf(HasSubstr("`zone`"), HasSubstr("\"any\"")));
  EXPECT_THAT(Refused(With("commit", kCommit)), HasSubstr("as `revision`"));
}

TEST_F(CreateVolumeTest, MissingModelIsInvalidArgumentAndSaysWhereItBelongs) {
  CreateRequest none = NodeClaim();
  none.clear_parameters();
  for (const auto& request : {none, With("model", " ")}) {
    EXPECT_THAT(Refused(request), AllOf(HasSubstr("`model`"), HasSubstr("`parameters.model`")));
  }
}

TEST_F(CreateVolumeTest, ParametersThatTheVolumeCouldNotCarryAreInvalidArgument) {
  // With the commit they would be more than a map of the contract may hold, and no publish would
  // work.
  std::string pattern(200, 'x'), patterns = pattern;
  while (patterns.size() < 4060 - 201) patterns += "," + pattern;
  patterns += "," + std::string(4060 - patterns.size() - 1, 'y');
  EXPECT_THAT(Refused(With("allowPatterns", patterns)), HasSubstr("4096"));
}

TEST_F(CreateVolumeTest, CapacityRangeThatIsNoneIsInvalidArgument) {
  CreateRequest negative = NodeClaim(), negative_limit = NodeClaim(), crossed = NodeClaim();
  negative.mutable_capacity_range()->set_required_bytes(-1);
  negative_limit.mutable_capacity_range()->set_limit_bytes(-1);
  crossed.mutable_capacity_range()->set_limit_bytes(10 * kGiB - 1);
  for (const auto& request : {negative, negative_limit, crossed}) {
    EXPECT_THAT(Refused(request), HasSubstr("capacity_range"));
  }
}

TEST_F(CreateVolumeTest, SecretWithoutACredentialIsInvalidArgument) {
  CreateRequest request = NodeClaim();
  (*request.mutable_secrets())["HF_TOKN"] = "s3cret";
  EXPECT_THAT(Refused(request), AllOf(HasSubstr("HF_TOKN"), Not(HasSubstr("s3cret"))));
}

TEST_F(CreateVolumeTest, TopologyWithoutThisNodeIsResourceExhausted) {
  CreateRequest request = NodeClaim();
  *request.mutable_accessibility_requirements()->add_requisite() = At("other-node");
  EXPECT_THAT(Refused(request, StatusCode::RESOURCE_EXHAUSTED), HasSubstr("test-node"));
  CreateRequest zone = NodeClaim();
  *zone.mutable_accessibility_requirements()->add_requisite() = At("z", "example.org/zone");
  Refused(zone, StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(CreateVolumeTest, TopologyWithThisNodeAmongOthersIsMet) {
  CreateRequest request = NodeClaim();
  *request.mutable_accessibility_requirements()->add_requisite() = At("other-node");
  *request.mutable_accessibility_requirements()->add_requisite() = At("test-node");
  *request.mutable_accessibility_requirements()->add_preferred() = At("other-node");
  Created created = Create(request);
  ASSERT_TRUE(created.status.ok()) << created.status.error_message();
  ASSERT_THAT(created.volume.accessible_topology(), SizeIs(1));
  EXPECT_THAT(created.volume.accessible_topology(0).segments(),
              ElementsAre(Pair(kTopologyKey, "test-node")));
}

TEST_F(CreateVolumeTest, SingleNodeModesGetThisNodesTopology) {
  for (auto mode : {Mode::SINGLE_NODE_WRITER, Mode::SINGLE_NODE_READER_ONLY,
                    Mode::SINGLE_NODE_SINGLE_WRITER, Mode::SINGLE_NODE_MULTI_WRITER}) {
    Created created = Create(CreateOf("pvc-" + std::to_string(mode), mode));
    ASSERT_TRUE(created.status.ok());
    ASSERT_THAT(created.volume.accessible_topology(), SizeIs(1)) << mode;
  }
}

TEST_F(CreateVolumeTest, MultiNodeModesGetNoTopology) {
  for (auto mode : {Mode::MULTI_NODE_READER_ONLY, Mode::MULTI_NODE_SINGLE_WRITER,
                    Mode::MULTI_NODE_MULTI_WRITER}) {
    CreateRequest request = CreateOf("pvc-" + std::to_string(mode), mode);
    *request.add_volume_capabilities() = Capability(Mode::SINGLE_NODE_WRITER);
    *request.mutable_accessibility_requirements()->add_requisite() = At("other-node");
    Created created = Create(request);
    ASSERT_TRUE(created.status.ok());
    EXPECT_THAT(created.volume.accessible_topology(), IsEmpty()) << mode;
  }
}

TEST_F(CreateVolumeTest, PlacementAnyLiftsTheTopologyOfSingleNodeModes) {
  EXPECT_THAT(Create(With("placement", "any")).volume.accessible_topology(), IsEmpty());
  CreateRequest node = With("placement", "node");
  node.set_name("pvc-2");
  EXPECT_THAT(Create(node).volume.accessible_topology(), SizeIs(1));
}

TEST_F(CreateVolumeTest, TheVolumeCarriesWhatAPublishNeedsAndNothingElse) {
  harness_.daemon().Resolve(kCommit, 0);
  CreateRequest request = With("revision", "v1");
  auto& parameters = *request.mutable_parameters();
  parameters["layout"] = "hub";
  parameters["ignorePatterns"] = "";
  parameters["cachedOnly"] = "false";
  parameters["placement"] = "node";
  parameters["csi.storage.k8s.io/pvc/name"] = "claim";
  Created created = Create(request);
  ASSERT_TRUE(created.status.ok()) << created.status.error_message();
  EXPECT_THAT(created.volume.volume_context(),
              UnorderedElementsAre(Pair("model", "hf://org/name"), Pair("revision", "v1"),
                                   Pair("layout", "hub"), Pair("ignorePatterns", ""),
                                   Pair("commit", kCommit)));
  EXPECT_FALSE(created.volume.has_content_source());
}

TEST_F(CreateVolumeTest, WhereNothingWasResolvedTheVolumeHasNoCommit) {
  EXPECT_THAT(Create(NodeClaim()).volume.volume_context(),
              ElementsAre(Pair("model", "hf://org/name")));
}

TEST_F(CreateVolumeTest, TheDaemonIsAskedForTheModelAndTheRoom) {
  CreateRequest request = With("revision", "v1");
  (*request.mutable_parameters())["allowPatterns"] = "*.json";
  (*request.mutable_parameters())["cachedOnly"] = "true";
  request.mutable_capacity_range()->set_limit_bytes(20 * kGiB);
  (*request.mutable_secrets())["HF_TOKEN"] = "t0ken";
  (*request.mutable_secrets())["unrelated"] = "x";
  Created created = Create(request);
  ASSERT_THAT(harness_.daemon().creates(), SizeIs(1));
  const cache::v1::CreateVolumeRequest sent = harness_.daemon().creates()[0];
  EXPECT_EQ(sent.volume_id(), created.volume.volume_id());
  EXPECT_THAT(sent.request_digest(), MatchesRegex("[0-9a-f]{64}"));
  EXPECT_EQ(sent.model().uri(), "hf://org/name");
  EXPECT_EQ(sent.model().revision(), "v1");
  EXPECT_THAT(sent.model().allow().globs(), ElementsAre("*.json"));
  EXPECT_EQ(sent.required_bytes(), static_cast<uint64_t>(10 * kGiB));
  EXPECT_EQ(sent.limit_bytes(), static_cast<uint64_t>(20 * kGiB));
  EXPECT_TRUE(sent.cached_only());
  EXPECT_THAT(sent.credentials(), ElementsAre(Pair("HF_TOKEN", "t0ken")));
}

TEST_F(CreateVolumeTest, CapacityIsTheLargerOfTheClaimAndTheModel) {
  EXPECT_EQ(Create(NodeClaim()).volume.capacity_bytes(), 10 * kGiB);
  harness_.daemon().Resolve("", static_cast<uint64_t>(30 * kGiB));
  EXPECT_EQ(Create(NodeClaim("pvc-2")).volume.capacity_bytes(), 30 * kGiB);
}

TEST_F(CreateVolumeTest, IdsAreShortDeterministicAndNotKubeletsOwn) {
  std::string id = Create(NodeClaim()).volume.volume_id();
  EXPECT_THAT(id, MatchesRegex("wh-[0-9a-f]{40}"));
  EXPECT_EQ(id, VolumeIdOf("pvc-1"));
  EXPECT_EQ(id, Create(NodeClaim()).volume.volume_id());
  EXPECT_NE(id, Create(NodeClaim("pvc-2")).volume.volume_id());
  EXPECT_FALSE(IsInlineVolume(id, {}));
}

TEST_F(CreateVolumeTest, SameNameAndArgumentsAreTheSameVolume) {
  CreateRequest request = AnyNodeClaim();
  Created first = Create(request);
  // What a retry may change: the sidecar's own keys, and which nodes there are by now.
  (*request.mutable_parameters())["csi.storage.k8s.io/pv/name"] = "pv";
  *request.mutable_accessibility_requirements()->add_requisite() = At("test-node");
  (*request.mutable_secrets())["HF_TOKEN"] = "rotated";
  Created again = Create(request);
  ASSERT_TRUE(again.status.ok()) << again.status.error_message();
  EXPECT_EQ(first.volume.SerializeAsString(), again.volume.SerializeAsString());
}

TEST_F(CreateVolumeTest, SameNameWithAnotherListOfNodesIsTheSameVolume) {
  CreateRequest request = NodeClaim(), more = request, preferred = request;
  *request.mutable_accessibility_requirements()->add_requisite() = At("test-node");
  *more.mutable_accessibility_requirements()->add_requisite() = At("other-node");
  *more.mutable_accessibility_requirements()->add_requisite() = At("test-node");
  *preferred.mutable_accessibility_requirements()->add_preferred() = At("test-node");
  Created first = Create(request);
  ASSERT_THAT(first.status, HasCode(StatusCode::OK));
  for (const CreateRequest& other : {more, preferred, NodeClaim()}) {
    Created again = Create(other);
    EXPECT_THAT(again.status, HasCode(StatusCode::OK));
    EXPECT_EQ(again.volume.SerializeAsString(), first.volume.SerializeAsString());
  }
}

TEST_F(CreateVolumeTest, SameNameWithOtherArgumentsIsAlreadyExists) {
  CreateRequest request = NodeClaim();
  ASSERT_TRUE(Create(request).status.ok());
  CreateRequest size = request, limit = request, parameter = request, value = request;
  CreateRequest mode = request, more = request, option = request, placement = request;
  size.mutable_capacity_range()->set_required_bytes(20 * kGiB);
  limit.mutable_capacity_range()->set_limit_bytes(10 * kGiB);
  (*parameter.mutable_parameters())["layout"] = "files";
  (*value.mutable_parameters())["model"] = "hf://org/other";
  *mode.mutable_volume_capabilities(0) = Capability(Mode::SINGLE_NODE_WRITER);
  *more.add_volume_capabilities() = Capability(Mode::SINGLE_NODE_WRITER);
  option.mutable_volume_capabilities(0)->mutable_mount()->add_mount_flags("noatime");
  (*placement.mutable_parameters())["placement"] = "any";
  for (const auto& other : {size, limit, parameter, value, mode, more, option, placement}) {
    EXPECT_THAT(Create(other).status, HasCode(StatusCode::ALREADY_EXISTS))
        << other.ShortDebugString();
  }
}

TEST_F(CreateVolumeTest, DaemonAwayIsUnavailable) {
  harness_.daemon().Stop();
  EXPECT_THAT(Create(NodeClaim()).status, HasCode(StatusCode::UNAVAILABLE));
}

TEST_F(CreateVolumeTest, ModelLargerThanTheLimitIsOutOfRange) {
  harness_.daemon().RefuseClaims({StatusCode::OUT_OF_RANGE, "the model has 30 GiB"});
  grpc::Status status = Create(NodeClaim()).status;
  EXPECT_THAT(status, HasCode(StatusCode::OUT_OF_RANGE));
  EXPECT_EQ(status.error_message(), "the model has 30 GiB");
}

TEST_F(CreateVolumeTest, NoRoomIsResourceExhausted) {
  harness_.daemon().RefuseClaims({StatusCode::RESOURCE_EXHAUSTED, "3 GiB are missing"});
  EXPECT_THAT(Create(NodeClaim()).status, HasCode(StatusCode::RESOURCE_EXHAUSTED));
}

TEST_F(CreateVolumeTest, NoRightToTheModelIsPermissionDeniedOrUnauthenticated) {
  for (auto code : {StatusCode::PERMISSION_DENIED, StatusCode::UNAUTHENTICATED}) {
    harness_.daemon().RefuseClaims({code, "accept the licence"});
    EXPECT_THAT(Create(NodeClaim()).status, HasCode(code));
  }
}

TEST_F(CreateVolumeTest, SourceThatIsStillAskedIsAborted) {
  harness_.daemon().RefuseClaims({StatusCode::ABORTED, "still asking"});
  grpc::Status status = Create(NodeClaim()).status;
  EXPECT_THAT(status, HasCode(StatusCode::ABORTED));
  EXPECT_EQ(status.error_message(), "still asking");
}

TEST_F(CreateVolumeTest, CodesThatSayNothingOfTheRequestAreUnavailable) {
  for (auto code : {StatusCode::CANCELLED, StatusCode::UNKNOWN, StatusCode::UNIMPLEMENTED}) {
    harness_.daemon().RefuseClaims({code, "x"});
    EXPECT_THAT(Create(NodeClaim()).status, HasCode(StatusCode::UNAVAILABLE));
  }
}

TEST_F(CreateVolumeTest, ACommitThatIsNoneIsUnavailable) {
  for (const char* commit : {"main", "../../etc", "0123"}) {
    harness_.daemon().Resolve(commit, 0);
    EXPECT_THAT(Create(NodeClaim(commit)).status, HasCode(StatusCode::UNAVAILABLE));
  }
  harness_.daemon().Resolve(kCommit, 0);
  CreateRequest file = With("model", "file:///models/x");
  EXPECT_THAT(Create(file).status, HasCode(StatusCode::UNAVAILABLE));
}

}  // namespace
}  // namespace weighhouse::csi
