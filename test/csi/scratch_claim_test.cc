// Claims with `access: scratch` on a node whose self-test says that it doesn't work there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/controller_test.h"

namespace weighhouse::csi {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class ScratchClaimTest : public ControllerTest {
 protected:
  explicit ScratchClaimTest(Code code = Code::kUnimplemented) : ControllerTest(Findings(code)) {
    cache::v1::CapacityResponse capacity;
    capacity.set_available(static_cast<uint64_t>(7 * kGiB));
    harness_.daemon().SetCapacity(capacity);
  }
  static ProtectionFindings Findings(Code code) {
    ProtectionFindings findings = AllHold();
    findings.scratch = {.holds = false, .reason = "no tmpfs", .code = code};
    return findings;
  }
  static CreateRequest Claim(const std::string& access) {
    CreateRequest request = NodeClaim();
    (*request.mutable_parameters())["access"] = access;
    return request;
  }
  Capacity CapacityFor(const std::string& access) {
    ::csi::v1::GetCapacityRequest request;
    *request.mutable_parameters() = Claim(access).parameters();
    return GetCapacity(request);
  }
};

TEST_F(ScratchClaimTest, WhereItDoesNotWorkIsResourceExhaustedSoThatAnotherNodeIsChosen) {
  CreateRequest any_node = AnyNodeClaim();
  (*any_node.mutable_parameters())["access"] = "scratch";
  for (const CreateRequest& request : {Claim("scratch"), any_node}) {
    grpc::Status status = Create(request).status;
    EXPECT_THAT(status, HasCode(StatusCode::RESOURCE_EXHAUSTED));
    EXPECT_THAT(status.error_message(), AllOf(HasSubstr("no tmpfs"), HasSubstr("another one")));
  }
  EXPECT_THAT(harness_.daemon().creates(), IsEmpty()) << "nothing is held here for it";
  EXPECT_THAT(Create(Claim("readOnly")).status, HasCode(StatusCode::OK));
}

TEST_F(ScratchClaimTest, CapacityWhereItDoesNotWorkIsOkAndZero) {
  Capacity capacity = CapacityFor("scratch");
  EXPECT_THAT(capacity.status, HasCode(StatusCode::OK));
  EXPECT_EQ(capacity.response.available_capacity(), 0);
  EXPECT_TRUE(capacity.response.has_maximum_volume_size());
  EXPECT_EQ(capacity.response.maximum_volume_size().value(), 0);
  EXPECT_EQ(CapacityFor("readOnly").response.available_capacity(), 7 * kGiB);
}

class ScratchNotTestedYetTest : public ScratchClaimTest {
 protected:
  ScratchNotTestedYetTest() : ScratchClaimTest(Code::kInternal) {}
};

TEST_F(ScratchNotTestedYetTest, ClaimAndCapacityAreUnavailable) {
  grpc::Status status = Create(Claim("scratch")).status;
  EXPECT_THAT(status, HasCode(StatusCode::UNAVAILABLE));
  EXPECT_THAT(status.error_message(), HasSubstr("no tmpfs"));
  EXPECT_THAT(CapacityFor("scratch").status, HasCode(StatusCode::UNAVAILABLE));
  EXPECT_THAT(harness_.daemon().creates(), IsEmpty());
  EXPECT_THAT(harness_.daemon().capacities(), IsEmpty());
}

}  // namespace
}  // namespace weighhouse::csi
