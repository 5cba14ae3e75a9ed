// NodePublishVolume: what is refused, with which code, and what is left afterwards (facts §4.4).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/plugin_test.h"

namespace weighhouse::csi {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Mode = ::csi::v1::VolumeCapability_AccessMode;
namespace fs = std::filesystem;

using NodePublishTest = PluginTest;

TEST_F(NodePublishTest, MissingVolumeIdIsInvalidArgument) {
  EXPECT_THAT(harness_.Publish(harness_.Request("", harness_.MakeTarget("u"))),
              HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(NodePublishTest, MissingTargetPathIsInvalidArgument) {
  EXPECT_THAT(harness_.Publish(harness_.Request("v", "")), HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(NodePublishTest, MissingOrHalfCapabilityIsInvalidArgument) {
  auto request = harness_.Request("v", harness_.MakeTarget("u"));
  auto no_capability = request, no_type = request, no_mode = request;
  no_capability.clear_volume_capability();
  no_type.mutable_volume_capability()->clear_access_type();
  no_mode.mutable_volume_capability()->clear_access_mode();
  for (const auto& half : {no_capability, no_type, no_mode}) {
    EXPECT_THAT(harness_.Publish(half), HasCode(StatusCode::INVALID_ARGUMENT));
  }
}

TEST_F(NodePublishTest, BlockVolumeIsInvalidArgument) {
  auto request = harness_.Request("v", harness_.MakeTarget("u"));
  request.mutable_volume_capability()->mutable_block();
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(NodePublishTest, MountOptionThatHasNoEffectIsInvalidArgument) {
  auto request = harness_.Request("v", harness_.MakeTarget("u"));
  request.mutable_volume_capability()->mutable_mount()->add_mount_flags("ro");
  EXPECT_TRUE(harness_.Publish(request).ok());
  request.set_target_path(harness_.MakeTarget("w"));
  request.mutable_volume_capability()->mutable_mount()->add_mount_flags("exec");
  grpc::Status status = harness_.Publish(request);
  EXPECT_THAT(status, HasCode(StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(status.error_message(), HasSubstr("`exec`"));
}

TEST_F(NodePublishTest, ContextWithoutAModelIsInvalidArgument) {
  auto request = harness_.Request("v", harness_.MakeTarget("u"));
  request.clear_volume_context();
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::INVALID_ARGUMENT));
}

TEST_F(NodePublishTest, UnknownParameterIsInvalidArgumentAndNamed) {
  auto request = harness_.Request("v", harness_.MakeTarget("u"));
  (*request.mutable_volume_context())["alowPatterns"] = "*";
  grpc::Status status = harness_.Publish(request);
  EXPECT_THAT(status, HasCode(StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(status.error_message(),
              AllOf(HasSubstr("`alowPatterns`"), HasSubstr("`allowPatterns`")));
}

TEST_F(NodePublishTest, TargetOutsideTheKubeletRootIsInvalidArgument) {
  for (const std::string& target :
       {directory_.path().string() + "/elsewhere", std::string("relative"),
        harness_.kubelet_root().string() + "/pods/../../x"}) {
    EXPECT_THAT(harness_.Publish(harness_.Request("v", target)),
                HasCode(StatusCode::INVALID_ARGUMENT));
  }
  EXPECT_THAT(harness_.daemon().acquires(), IsEmpty());
}

TEST_F(NodePublishTest, TargetThroughASymlinkIsInvalidArgumentAndLeavesNothing) {
  fs::path outside = directory_.path() / "outside";
  fs::create_directories(outside);
  fs::create_directory_symlink(outside, harness_.kubelet_root() / "pods/evil");
  std::string target = (harness_.kubelet_root() / "pods/evil/mount").string();
  grpc::Status status = harness_.Publish(harness_.Request("v", target));
  EXPECT_THAT(status, HasCode(StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(status.error_message(), HasSubstr("symbolic link"));
  EXPECT_TRUE(fs::is_empty(outside));
}

TEST_F(NodePublishTest, InlineVolumeWithoutPodInfoIsFailedPrecondition) {
  auto request = harness_.Request("csi-" + std::string(64, 'f'), harness_.MakeTarget("u"));
  grpc::Status status = harness_.Publish(request);
  EXPECT_THAT(status, HasCode(StatusCode::FAILED_PRECONDITION));
  EXPECT_THAT(status.error_message(), HasSubstr("podInfoOnMount"));
}

TEST_F(NodePublishTest, InlineVolumeWithForgedPodInfoIsFailedPrecondition) {
  auto request = harness_.Request("csi-" + std::string(64, 'f'), harness_.MakeTarget("u"));
  auto& context = *request.mutable_volume_context();
  context["csi.storage.k8s.io/pod.name"] = "p";
  context["csi.storage.k8s.io/pod.namespace"] = "other";
  context["csi.storage.k8s.io/pod.uid"] = "guessed";
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::FAILED_PRECONDITION));
  context["csi.storage.k8s.io/pod.uid"] = "u";
  EXPECT_TRUE(harness_.Publish(request).ok());
}

TEST_F(NodePublishTest, AnUnknownVolumeIsPublishedFromItsContextWhichIsOk) {
  std::string target = harness_.MakeTarget("u");
  auto request = harness_.Request("v", target);
  auto& context = *request.mutable_volume_context();
  context["revision"] = "v1";
  context["layout"] = "hub";
  context["ignorePatterns"] = "";
  context["csi.storage.k8s.io/pod.name"] = "p";
  context["csi.storage.k8s.io/pod.namespace"] = "n";
  (*request.mutable_secrets())["HF_TOKEN"] = "t0ken";
  (*request.mutable_secrets())["unrelated"] = "x";
  ASSERT_TRUE(harness_.Publish(request).ok());
  EXPECT_TRUE(IsMounted(target));
  EXPECT_TRUE(fs::is_directory(target));
  auto acquires = harness_.daemon().acquires();
  ASSERT_EQ(acquires.size(), 1U);
  const cache::v1::AcquireRequest& sent = acquires[0];
  EXPECT_EQ(sent.lease_id(), LeaseOf(target));
  EXPECT_EQ(sent.model().uri(), "hf://org/name");
  EXPECT_EQ(sent.model().revision(), "v1");
  EXPECT_EQ(sent.layout(), cache::v1::LAYOUT_HUB);
  EXPECT_FALSE(sent.model().has_allow());
  EXPECT_TRUE(sent.model().has_ignore());
  EXPECT_EQ(sent.credentials_size(), 1);
  EXPECT_EQ(sent.credentials().at("HF_TOKEN"), "t0ken");
  EXPECT_EQ(sent.holder().volume_id(), "v");
  EXPECT_EQ(sent.holder().target_path(), target);
  EXPECT_EQ(sent.holder().pod_name(), "p");
  EXPECT_EQ(sent.holder().pod_uid(), "u");
}

TEST_F(NodePublishTest, WritersModesAreOkAndServedReadOnly) {
  int pod = 0;
  for (auto mode : {Mode::SINGLE_NODE_WRITER, Mode::SINGLE_NODE_MULTI_WRITER,
                    Mode::MULTI_NODE_MULTI_WRITER, Mode::MULTI_NODE_READER_ONLY}) {
    std::string target = harness_.MakeTarget("u" + std::to_string(++pod));
    EXPECT_TRUE(harness_.Publish(RequestWithMode("v" + std::to_string(pod), target, mode)).ok());
    EXPECT_EQ(mounter_.last_protection(), Protection::kIdmappedBind);
  }
}

TEST_F(NodePublishTest, ReadOnlyVolumesAreBoundPlainly) {
  auto request = harness_.Request("v", harness_.MakeTarget("u"));
  request.set_readonly(true);
  EXPECT_TRUE(harness_.Publish(request).ok());
  EXPECT_EQ(mounter_.last_protection(), Protection::kReadOnlyBind);
}

TEST_F(NodePublishTest, WhereIdmappingFailsAnOverlayIsMounted) {
  mounter_.Fail(Protection::kIdmappedBind, {Code::kUnimplemented, "filesystem can't"});
  EXPECT_TRUE(harness_.Publish(harness_.Request("v", harness_.MakeTarget("u"))).ok());
  EXPECT_EQ(mounter_.last_protection(), Protection::kOverlay);
}

TEST_F(NodePublishTest, WhereNothingHoldsItIsFailedPreconditionAndLeavesNothing) {
  mounter_.Fail(Protection::kIdmappedBind, {Code::kUnimplemented, "filesystem can't"});
  mounter_.Fail(Protection::kOverlay, {Code::kUnimplemented, "no overlay"});
  std::string target = harness_.MakeTarget("u");
  grpc::Status status = harness_.Publish(harness_.Request("v", target));
  EXPECT_THAT(status, HasCode(StatusCode::FAILED_PRECONDITION));
  EXPECT_THAT(status.error_message(),
              AllOf(HasSubstr("idmapped bind: filesystem can't"), HasSubstr("overlay: no overlay"),
                    HasSubstr("readOnly: true")));
  EXPECT_FALSE(fs::exists(target));
  EXPECT_THAT(harness_.daemon().releases(), ElementsAre(LeaseOf(target)));
}

TEST_F(NodePublishTest, WhatTheKernelDoesNotDoNowIsUnavailableAndLeavesTheLease) {
  auto request = harness_.Request("v", harness_.MakeTarget("u"));
  mounter_.FailReads(Error{.code = Code::kInternal, .message = "Too many open files"});
  grpc::Status status = harness_.Publish(request);
  EXPECT_THAT(status, HasCode(StatusCode::UNAVAILABLE));
  EXPECT_THAT(status.error_message(), HasSubstr("Too many open files"));
  mounter_.FailReads(std::nullopt);
  for (Code code : {Code::kInternal, Code::kNotFound, Code::kFailedPrecondition}) {
    mounter_.Fail(Protection::kIdmappedBind, {.code = code, .message = "no memory"});
    EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::UNAVAILABLE)) << CodeName(code);
  }
  mounter_.Fail(Protection::kIdmappedBind, {.code = Code::kUnimplemented, .message = "can't"});
  mounter_.Fail(Protection::kOverlay, {.code = Code::kInternal, .message = "no memory"});
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::UNAVAILABLE));
  mounter_.Fail(Protection::kOverlay, {.code = Code::kResourceExhausted, .message = "too many"});
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty()) << "kubelet comes back";
}

TEST_F(NodePublishTest, APublishAndItsReplayReadTheMountsOnceEach) {
  auto request = RequestWithMode("v", harness_.MakeTarget("u"), Mode::SINGLE_NODE_SINGLE_WRITER);
  int before = mounter_.reads();
  ASSERT_TRUE(harness_.Publish(request).ok());
  EXPECT_EQ(mounter_.reads(), before + 1);
  ASSERT_TRUE(harness_.Publish(request).ok());
  EXPECT_EQ(mounter_.reads(), before + 2);
  ASSERT_TRUE(harness_.Unpublish("v", request.target_path()).ok());
  EXPECT_EQ(mounter_.reads(), before + 2) << "an unpublish needs no list of mounts";
}

TEST_F(NodePublishTest, TheCheckForOtherWritersReadsTheMountsNoSecondTime) {
  auto single = Mode::SINGLE_NODE_SINGLE_WRITER;
  ASSERT_TRUE(harness_.Publish(RequestWithMode("v", harness_.MakeTarget("a"), single)).ok());
  int before = mounter_.reads();
  EXPECT_THAT(harness_.Publish(RequestWithMode("v", harness_.MakeTarget("b"), single)),
              HasCode(StatusCode::FAILED_PRECONDITION));
  EXPECT_EQ(mounter_.reads(), before + 2) << "one to decide, one before it is undone";
}

TEST_F(NodePublishTest, SameTargetAgainIsOkWithoutTheDaemon) {
  std::string target = harness_.MakeTarget("u");
  auto request = harness_.Request("v", target);
  ASSERT_TRUE(harness_.Publish(request).ok());
  harness_.daemon().Stop();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(harness_.Publish(request).ok());
  EXPECT_EQ(mounter_.mounts_made(), 1);
}

TEST_F(NodePublishTest, SameTargetWithOtherArgumentsIsAlreadyExistsAndStaysMounted) {
  std::string target = harness_.MakeTarget("u");
  auto request = harness_.Request("v", target);
  ASSERT_TRUE(harness_.Publish(request).ok());
  auto other_model = request, other_volume = request, other_readonly = request;
  (*other_model.mutable_volume_context())["model"] = "hf://org/other";
  other_volume.set_volume_id("w");
  other_readonly.set_readonly(true);
  for (const auto& other : {other_model, other_volume, other_readonly}) {
    EXPECT_THAT(harness_.Publish(other), HasCode(StatusCode::ALREADY_EXISTS));
  }
  EXPECT_TRUE(IsMounted(target));
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty());
}

TEST_F(NodePublishTest, WrongWordsForAMountedTargetDoNotReleaseItsLease) {
  std::string target = harness_.MakeTarget("u");
  auto request = harness_.Request("v", target);
  ASSERT_TRUE(harness_.Publish(request).ok());
  request.clear_volume_context();
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::INVALID_ARGUMENT));
  EXPECT_TRUE(IsMounted(target));
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty());
}

TEST_F(NodePublishTest, SingleNodeSingleWriterAtASecondTargetIsFailedPrecondition) {
  std::string first = harness_.MakeTarget("a"), second = harness_.MakeTarget("b");
  auto single = Mode::SINGLE_NODE_SINGLE_WRITER;
  ASSERT_TRUE(harness_.Publish(RequestWithMode("v", first, single)).ok());
  EXPECT_THAT(harness_.Publish(RequestWithMode("v", second, single)),
              HasCode(StatusCode::FAILED_PRECONDITION));
  EXPECT_THAT(harness_.Publish(harness_.Request("v", second)),
              HasCode(StatusCode::FAILED_PRECONDITION));
  EXPECT_TRUE(harness_.Publish(RequestWithMode("other", second, single)).ok());
  ASSERT_TRUE(harness_.Unpublish("other", second).ok());
  ASSERT_TRUE(harness_.Unpublish("v", first).ok());
  EXPECT_TRUE(harness_.Publish(RequestWithMode("v", second, single)).ok());
}

TEST_F(NodePublishTest, SingleNodeWritersAtASecondTargetAreOk) {
  // Pods of one node may share a ReadWriteOnce claim, whichever mode kubelet makes of it.
  for (auto mode : {Mode::SINGLE_NODE_WRITER, Mode::SINGLE_NODE_MULTI_WRITER}) {
    std::string volume = "v" + std::to_string(mode);
    for (const char* pod : {"a", "b"}) {
      std::string target = harness_.MakeTarget(pod, volume);
      EXPECT_THAT(harness_.Publish(RequestWithMode(volume, target, mode)), HasCode(StatusCode::OK));
    }
  }
  EXPECT_EQ(mounter_.mounts_made(), 4);
}

TEST_F(NodePublishTest, WithoutAStagingPathItIsOk) {
  auto request = harness_.Request("v", harness_.MakeTarget("u"));
  EXPECT_TRUE(request.staging_target_path().empty());
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::OK));
}

TEST_F(NodePublishTest, FullCacheIsResourceExhaustedAndKeepsTheLease) {
  harness_.daemon().SetScript(FakeDaemon::Refuse(StatusCode::RESOURCE_EXHAUSTED, "needs 3 GiB"));
  grpc::Status status = harness_.Publish(harness_.Request("v", harness_.MakeTarget("u")));
  EXPECT_THAT(status, HasCode(StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_EQ(status.error_message(), "needs 3 GiB");
  EXPECT_THAT(harness_.daemon().releases(), IsEmpty());
}

TEST_F(NodePublishTest, SourceAwayIsUnavailable) {
  harness_.daemon().SetScript(FakeDaemon::Refuse(StatusCode::UNAVAILABLE, "503 from host"));
  grpc::Status status = harness_.Publish(harness_.Request("v", harness_.MakeTarget("u")));
  EXPECT_THAT(status, HasCode(StatusCode::UNAVAILABLE));
  EXPECT_EQ(status.error_message(), "503 from host") << "the daemon answers: it isn't away";
}

TEST_F(NodePublishTest, DaemonAwayIsUnavailable) {
  harness_.daemon().Stop();
  grpc::Status status = harness_.Publish(harness_.Request("v", harness_.MakeTarget("u")));
  EXPECT_THAT(status, HasCode(StatusCode::UNAVAILABLE));
  EXPECT_THAT(status.error_message(), HasSubstr("weighhouse-cached"));
}

TEST_F(NodePublishTest, CodesThatSayNothingOfTheRequestAreUnavailable) {
  for (auto code : {StatusCode::CANCELLED, StatusCode::UNKNOWN, StatusCode::UNIMPLEMENTED}) {
    harness_.daemon().SetScript(FakeDaemon::Refuse(code, "x"));
    EXPECT_THAT(harness_.Publish(harness_.Request("v", harness_.MakeTarget("u"))),
                HasCode(StatusCode::UNAVAILABLE));
  }
}

TEST_F(NodePublishTest, NoRightToTheModelIsPermissionDeniedOrUnauthenticatedAndLeavesNothing) {
  for (auto code : {StatusCode::PERMISSION_DENIED, StatusCode::UNAUTHENTICATED}) {
    harness_.daemon().SetScript(FakeDaemon::Refuse(code, "accept the licence"));
    std::string target = harness_.MakeTarget("u");
    EXPECT_THAT(harness_.Publish(harness_.Request("v", target)), HasCode(code));
    EXPECT_FALSE(fs::exists(target));
    EXPECT_EQ(harness_.daemon().releases().back(), LeaseOf(target));
  }
}

TEST_F(NodePublishTest, MissingParentIsFailedPrecondition) {
  std::string target = (harness_.kubelet_root() / "pods/gone/volumes/x/mount").string();
  EXPECT_THAT(harness_.Publish(harness_.Request("v", target)),
              HasCode(StatusCode::FAILED_PRECONDITION));
}

TEST_F(NodePublishTest, ForeignMountAtTheTargetIsFailedPreconditionAndLeftAlone) {
  std::string target = harness_.MakeTarget("u");
  mounter_.AddForeign(target);
  EXPECT_THAT(harness_.Publish(harness_.Request("v", target)),
              HasCode(StatusCode::FAILED_PRECONDITION));
  EXPECT_EQ(mounter_.CountAt(target), 1);
}

TEST_F(NodePublishTest, FilesAtTheTargetAreFailedPreconditionAndNotHidden) {
  std::string target = harness_.MakeTarget("u");
  WriteTestFile(fs::path(target) / "precious", "x");
  EXPECT_THAT(harness_.Publish(harness_.Request("v", target)),
              HasCode(StatusCode::FAILED_PRECONDITION));
  EXPECT_EQ(ReadTestFile(fs::path(target) / "precious"), "x");
  EXPECT_FALSE(IsMounted(target));
}

TEST_F(NodePublishTest, AnotherRootThanTheDaemonsIsUnavailable) {
  auto other_inode = harness_.daemon().true_info(), other_id = harness_.daemon().true_info();
  other_inode.set_root_inode(1);
  other_id.set_root_id("another");
  for (const auto& info : {other_inode, other_id}) {
    harness_.daemon().SetInfo(info);
    EXPECT_THAT(harness_.Publish(harness_.Request("v", harness_.MakeTarget("u"))),
                HasCode(StatusCode::UNAVAILABLE));
  }
  EXPECT_THAT(harness_.daemon().acquires(), IsEmpty());
}

TEST_F(NodePublishTest, ATreeThatIsNoneOfOursIsNeverMounted) {
  fs::create_directory_symlink("/etc", harness_.cache_root() / PluginHarness::Tree('c'));
  for (const std::string& tree :
       {std::string("../../etc"), std::string("/etc"), std::string("trees/files"),
        "trees/files/" + std::string(64, 'd'), PluginHarness::Tree('c'),
        PluginHarness::Tree('a') + "/sub", std::string()}) {
    harness_.daemon().SetScript(FakeDaemon::Answer(tree));
    EXPECT_THAT(harness_.Publish(harness_.Request("v", harness_.MakeTarget("u"))),
                HasCode(StatusCode::UNAVAILABLE))
        << tree;
  }
  EXPECT_EQ(mounter_.mounts_made(), 0);
}

TEST_F(NodePublishTest, WithoutPropagationItIsUnavailableAndSaysHowToMendIt) {
  mounter_.SetShared(false);
  grpc::Status status = harness_.Publish(harness_.Request("v", harness_.MakeTarget("u")));
  EXPECT_THAT(status, HasCode(StatusCode::UNAVAILABLE));
  EXPECT_THAT(status.error_message(), HasSubstr("mountPropagation: Bidirectional"));
  EXPECT_EQ(mounter_.mounts_made(), 0);
}

TEST_F(NodePublishTest, ADeadVolumeIsMountedAnew) {
  std::string target = harness_.MakeTarget("u");
  ASSERT_TRUE(harness_.Publish(harness_.Request("v", target)).ok());
  mounter_.MarkDeleted(target);
  harness_.daemon().SetScript(FakeDaemon::Answer(PluginHarness::Tree('b')));
  EXPECT_TRUE(harness_.Publish(harness_.Request("v", target)).ok());
  EXPECT_EQ(mounter_.CountAt(target), 1);
  EXPECT_EQ(mounter_.mounts_made(), 2);
}

}  // namespace
}  // namespace weighhouse::csi
