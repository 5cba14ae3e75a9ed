// Calls about claims while the daemon takes its time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "csi/claim.h"
#include "test/csi/controller_test.h"
#include "test/support/captured_log.h"

namespace weighhouse::csi {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::SizeIs;

class ControllerWaitTest : public ControllerTest {
 protected:
  ControllerWaitTest() { harness_.daemon().HoldClaims(); }
};

TEST_F(ControllerWaitTest, SameNameInProgressIsAbortedAtOnce) {
  std::future<grpc::Status> first = CreateLater(NodeClaim());
  harness_.daemon().WaitForCreates(1);
  EXPECT_THAT(Create(NodeClaim()).status, HasCode(StatusCode::ABORTED));
  EXPECT_THAT(Delete(VolumeIdOf("pvc-1")), HasCode(StatusCode::ABORTED));
  EXPECT_THAT(harness_.daemon().creates(), SizeIs(1));
  harness_.daemon().Open();
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(Create(NodeClaim()).status.ok()) << "free again when the first was answered";
}

TEST_F(ControllerWaitTest, DaemonThatTakesTooLongIsAbortedAndLeft) {
  auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(Create(NodeClaim()).status, HasCode(StatusCode::ABORTED));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(1'900)) << "all of the two";
  harness_.daemon().WaitForCancelled(1);
  // What the daemon was given, which no other work of the machine makes longer; gRPC rounds it up.
  EXPECT_LE(harness_.daemon().create_patience(), milliseconds(2'100));
}

TEST_F(ControllerWaitTest, CallerThatLeavesIsCancelledAndEndsTheDaemonsCall) {
  CapturedLog log;
  grpc::ClientContext context;
  ::csi::v1::CreateVolumeResponse response;
  auto call = std::async(std::launch::async, [&] {
    return harness_.controller().CreateVolume(&context, NodeClaim(), &response);
  });
  harness_.daemon().WaitForCreates(1);
  context.TryCancel();
  call.wait();  // its status is what this side's library makes of that
  harness_.daemon().WaitForCancelled(1);
  harness_.StopPlugin();
  EXPECT_THAT(log.text(), HasSubstr("claim pvc-1 of hf://org/name: CANCELLED: "));
}

TEST_F(ControllerWaitTest, EveryCallThatASlowDaemonKeepsIsAbortedAndLeft) {
  std::string id = VolumeIdOf("pvc-1");
  ::csi::v1::ValidateVolumeCapabilitiesRequest question;
  question.set_volume_id(id);
  *question.add_volume_capabilities() = Capability(Mode::MULTI_NODE_READER_ONLY);
  auto later = [](auto call) { return std::async(std::launch::async, call); };
  auto deleted = later([&] { return Delete(id); });
  auto validated = later([&] { return Validate(question).status; });
  auto capacity = later([&] { return GetCapacity({}).status; });
  for (auto* answer : {&deleted, &validated, &capacity}) {
    grpc::Status status = answer->get();
    EXPECT_THAT(status, HasCode(StatusCode::ABORTED));
    EXPECT_THAT(status.error_message(), HasSubstr("has not answered yet"));
  }
  harness_.daemon().WaitForCancelled(3);
}

}  // namespace
}  // namespace weighhouse::csi
