#include "csi/protections.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/csi/fake_mounter.h"

namespace weighhouse::csi {
namespace {

using testing::HasSubstr;

ProtectionFindings Findings(bool idmapped, bool overlay) {
  return {.idmapped_bind = {.holds = idmapped, .reason = "no idmap"},
          .overlay = {.holds = overlay, .reason = "no overlay"}};
}

TEST(ProtectionsTest, ReadOnlyVolumesAreBoundPlainly) {
  EXPECT_EQ(ChooseProtection(Findings(true, true), true, SelinuxState::kOff),
            Protection::kReadOnlyBind);
  EXPECT_EQ(ChooseProtection(Findings(false, false), true, SelinuxState::kOn),
            Protection::kReadOnlyBind);
}

TEST(ProtectionsTest, OthersAreIdmappedElseOverlaid) {
  EXPECT_EQ(ChooseProtection(Findings(true, true), false, SelinuxState::kOff),
            Protection::kIdmappedBind);
  EXPECT_EQ(ChooseProtection(Findings(false, true), false, SelinuxState::kOff),
            Protection::kOverlay);
}

TEST(ProtectionsTest, WithSelinuxOnOnlyAnOverlayKeepsItsLabels) {
  EXPECT_EQ(ChooseProtection(Findings(true, true), false, SelinuxState::kOn), Protection::kOverlay);
  EXPECT_THAT(ChooseProtection(Findings(true, false), false, SelinuxState::kOn).error().message,
              HasSubstr("relabel"));
}

TEST(ProtectionsTest, WithoutAnythingThatHoldsReadOnlyIsTheWayOut) {
  Error error = ChooseProtection(Findings(false, false), false, SelinuxState::kOff).error();
  EXPECT_EQ(error.code, Code::kFailedPrecondition);
  EXPECT_THAT(error.message, HasSubstr("no idmap"));
  EXPECT_THAT(error.message, HasSubstr("no overlay"));
  EXPECT_THAT(error.message, HasSubstr("readOnly: true"));
}

TEST(ProtectionsTest, AnOverlayForAFilesystemThatCanNotBeIdmappedMustHold) {
  FakeMounter mounter;
  EXPECT_TRUE(Protections(mounter, Findings(true, true)).CheckOverlay().has_value());
  Result<> refused = Protections(mounter, Findings(true, false)).CheckOverlay();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kUnimplemented);
  EXPECT_EQ(refused.error().message, "no overlay");
}

TEST(ProtectionsTest, AScratchVolumeIsRefusedWhereItDoesNotWorkWithTheWayOut) {
  FakeMounter mounter;
  ProtectionFindings findings = Findings(true, true);
  findings.scratch = {.holds = true, .reason = ""};
  EXPECT_TRUE(Protections(mounter, findings).CheckScratch().has_value());
  findings.scratch = {.holds = false, .reason = "no tmpfs"};
  Result<> refused = Protections(mounter, findings).CheckScratch();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(refused.error().message, HasSubstr("no tmpfs"));
  EXPECT_THAT(refused.error().message, HasSubstr("`access: readOnly`"));
}

TEST(ProtectionsTest, AScratchTestThatFailedForNowIsNoRefusalForEver) {
  FakeMounter mounter;
  ProtectionFindings findings = Findings(true, true);
  for (Code code :
       {Code::kUnavailable, Code::kResourceExhausted, Code::kInternal, Code::kNotFound}) {
    findings.scratch = {.holds = false, .reason = "Cannot allocate memory", .code = code};
    Result<> refused = Protections(mounter, findings).CheckScratch();
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::kUnavailable) << CodeName(code);
    EXPECT_THAT(refused.error().message, HasSubstr("Cannot allocate memory"));
  }
  for (Code code : {Code::kUnimplemented, Code::kFailedPrecondition}) {
    findings.scratch = {.holds = false, .reason = "no", .code = code};
    EXPECT_EQ(Protections(mounter, findings).CheckScratch().error().code,
              Code::kFailedPrecondition);
  }
}

TEST(ProtectionsTest, UntilTheTestCouldBeMadeOnlyReadOnlyVolumesAreMounted) {
  FakeMounter mounter;
  Protections protections(mounter, "/proc/no/such/place");
  EXPECT_EQ(protections.Choose(false, SelinuxState::kOff).error().code, Code::kUnavailable);
  EXPECT_EQ(protections.CheckScratch().error().code, Code::kUnavailable);
  Result<> made = protections.Ensure();
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().message, HasSubstr("--scratch-dir"));
  EXPECT_THAT(protections.Choose(false, SelinuxState::kOff).error().message,
              HasSubstr("--scratch-dir"));
  EXPECT_EQ(protections.Choose(true, SelinuxState::kOff), Protection::kReadOnlyBind);
}

}  // namespace
}  // namespace weighhouse::csi
