// NodePublishVolume with `access: scratch`.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/plugin_test.h"

namespace weighhouse::csi {
namespace {

namespace fs = std::filesystem;
using grpc::StatusCode;
using testing::AllOf;
using testing::HasSubstr;
using Mode = ::csi::v1::VolumeCapability_AccessMode;

class ScratchPublishTest : public PluginTest {
 protected:
  ::csi::v1::NodePublishVolumeRequest Request(const std::string& pod) {
    auto request =
        RequestWithMode("v-" + pod, harness_.MakeTarget(pod), Mode::SINGLE_NODE_MULTI_WRITER);
    (*request.mutable_volume_context())["access"] = "scratch";
    return request;
  }
  /// The answer where the mounter fails so.
  grpc::Status Failing(Code code, const std::string& message) {
    mounter_.Fail(Protection::kScratch, {.code = code, .message = message});
    return harness_.Publish(Request("u"));
  }
  std::string target_ = harness_.MakeTarget("u");
};

TEST_F(ScratchPublishTest, ItGetsItsOwnLayerUnlessItIsReadOnly) {
  auto request = Request("u");
  auto& context = *request.mutable_volume_context();
  context["scratchSize"] = "2Gi";
  ASSERT_TRUE(harness_.Publish(request).ok());
  EXPECT_EQ(mounter_.last_protection(), Protection::kScratch);
  EXPECT_EQ(mounter_.last_scratch_size(), 2 * kGiB);
  context["scratchSize"] = "1Gi";
  EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::ALREADY_EXISTS));
  request = Request("w");
  request.set_readonly(true);
  ASSERT_TRUE(harness_.Publish(request).ok());
  EXPECT_EQ(mounter_.last_protection(), Protection::kReadOnlyBind);
}

TEST_F(ScratchPublishTest, OtherAccessThanTheMountsIsAlreadyExistsAfterARestartToo) {
  auto scratch = Request("u"), readonly = Request("w");
  (*readonly.mutable_volume_context())["access"] = "readOnly";
  for (const auto& request : {scratch, readonly}) {
    ASSERT_TRUE(harness_.Publish(request).ok());
    harness_.RestartPlugin();
    auto other = request;
    std::string access = request.volume_context().at("access");
    (*other.mutable_volume_context())["access"] = access == "scratch" ? "readOnly" : "scratch";
    for (int i = 0; i < 2; ++i) {
      EXPECT_THAT(harness_.Publish(other), HasCode(StatusCode::ALREADY_EXISTS)) << access;
    }
    EXPECT_THAT(harness_.Publish(request), HasCode(StatusCode::OK)) << access;
    EXPECT_THAT(harness_.Publish(other), HasCode(StatusCode::ALREADY_EXISTS)) << access;
  }
  EXPECT_EQ(mounter_.mounts_made(), 2);
  EXPECT_EQ(harness_.daemon().releases().size(), 0U);
}

TEST_F(ScratchPublishTest, AnAccessModeThatOnlyReadsIsInvalidArgument) {
  for (auto mode : {Mode::SINGLE_NODE_READER_ONLY, Mode::MULTI_NODE_READER_ONLY}) {
    for (bool readonly : {false, true}) {
      auto request = Request("u");
      request.mutable_volume_capability()->mutable_access_mode()->set_mode(mode);
      request.set_readonly(readonly);
      grpc::Status status = harness_.Publish(request);
      EXPECT_THAT(status, HasCode(StatusCode::INVALID_ARGUMENT));
      EXPECT_THAT(status.error_message(),
                  AllOf(HasSubstr("ReadWriteMany"), HasSubstr("`access: readOnly`")));
      (*request.mutable_volume_context())["access"] = "readOnly";
      EXPECT_TRUE(harness_.Publish(request).ok());
      EXPECT_TRUE(harness_.Unpublish("v-u", target_).ok());
    }
  }
}

TEST_F(ScratchPublishTest, TheMountOptionRoIsInvalidArgument) {
  auto request = Request("u");
  request.mutable_volume_capability()->mutable_mount()->add_mount_flags("noatime");
  EXPECT_TRUE(harness_.Publish(request).ok());
  request = Request("w");
  request.mutable_volume_capability()->mutable_mount()->add_mount_flags("ro");
  grpc::Status status = harness_.Publish(request);
  EXPECT_THAT(status, HasCode(StatusCode::INVALID_ARGUMENT));
  EXPECT_THAT(status.error_message(), HasSubstr("`mountOptions`"));
}

TEST_F(ScratchPublishTest, AMountThatTheKernelDoesNotMakeNowIsUnavailable) {
  for (Code code : {Code::kUnimplemented, Code::kInternal, Code::kNotFound, Code::kAlreadyExists,
                    Code::kFailedPrecondition, Code::kInvalidArgument}) {
    grpc::Status status = Failing(code, "Cannot allocate memory");
    EXPECT_THAT(status, HasCode(StatusCode::UNAVAILABLE)) << CodeName(code);
    EXPECT_THAT(status.error_message(), HasSubstr("scratch overlay: Cannot allocate memory"));
  }
  EXPECT_EQ(harness_.daemon().releases().size(), 0U) << "kubelet comes back";
}

TEST_F(ScratchPublishTest, TooManyOnTheNodeIsResourceExhaustedAndKeepsTheLease) {
  grpc::Status status = Failing(Code::kResourceExhausted, "64 MiB in all");
  EXPECT_THAT(status, HasCode(StatusCode::RESOURCE_EXHAUSTED));
  EXPECT_THAT(status.error_message(), HasSubstr("64 MiB in all"));
  EXPECT_EQ(harness_.daemon().releases().size(), 0U);
}

TEST_F(ScratchPublishTest, ATreeThatHasTooMuchForItIsFailedPreconditionAndLeavesNothing) {
  grpc::Status status = Failing(Code::kOutOfRange, "1000 directories: set `access: readOnly`");
  EXPECT_THAT(status, HasCode(StatusCode::FAILED_PRECONDITION));
  EXPECT_THAT(status.error_message(), HasSubstr("1000 directories: set `access: readOnly`"));
  EXPECT_FALSE(fs::exists(target_));
  EXPECT_EQ(harness_.daemon().releases().size(), 1U);
}

}  // namespace
}  // namespace weighhouse::csi
