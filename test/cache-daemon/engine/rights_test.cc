// What a source has said of somebody's rights, and for how long that counts.

#include "cache-daemon/engine/rights.h"

#include <gtest/gtest.h>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse {
namespace {

constexpr std::chrono::seconds kRecheck{300};
constexpr std::chrono::seconds kTtl{3600};

class RightsTest : public store::StoreTest {
 protected:
  RightsTest() {
    Open();
    Use({.grant_ttl = kTtl, .recheck_after = kRecheck});
  }
  void Use(const RightsOptions& options) {
    rights_ = std::make_unique<Rights>(*store_, clock_, options);
  }
  void Allow() { rights_->Allowed(snapshot_.origin, model_, Me(), clock_.Steady()); }
  Caller Me() const { return {.credentials = credentials_, .pod_namespace = "a"}; }
  bool Unasked() const { return rights_->MayHaveUnasked(snapshot_, model_, Me()); }
  bool After(Code failure) const { return rights_->MayHaveAfter(failure, snapshot_, model_, Me()); }

  store::Snapshot snapshot_{.origin = "hf+https://hub.test/org/private"};
  ModelReference model_ = ModelReference::Parse("hf://org/private").value();
  Credentials credentials_{.values = {{"HF_TOKEN", "right"}}};
  std::unique_ptr<Rights> rights_;
};

TEST_F(RightsTest, AreNobodysToWhomTheSourceSaidNothing) {
  EXPECT_FALSE(Unasked());
  EXPECT_FALSE(After(Code::kUnavailable));
  Allow();
  EXPECT_TRUE(Unasked());
  for (const char* other : {"", "wrong"}) {
    credentials_.values["HF_TOKEN"] = other;
    EXPECT_FALSE(Unasked()) << other;
    EXPECT_FALSE(After(Code::kUnavailable)) << other;
  }
  credentials_.values.clear();
  EXPECT_FALSE(After(Code::kUnavailable));
  credentials_.values = {{"HF_TOKEN", "right"}, {"other", ""}};
  EXPECT_FALSE(After(Code::kUnavailable)) << "the source may look at that, too";
}

TEST_F(RightsTest, AreOfTheFilesThatWereAskedForWhereEachHasItsOwn) {
  for (const char* uri : {"s3://bucket/m", "gs://bucket/m", "https://host/m/"}) {
    model_ = ModelReference::Parse(uri).value();
    model_.allow_patterns = {"a", "b"};
    Allow();
    EXPECT_TRUE(After(Code::kUnavailable));
    model_.allow_patterns = {"a b"};
    EXPECT_FALSE(After(Code::kUnavailable));
    model_.allow_patterns.reset();
    EXPECT_FALSE(After(Code::kUnavailable)) << "all of it is more";
    model_.ignore_patterns = {"a", "b"};
    EXPECT_FALSE(After(Code::kUnavailable));
  }
  model_ = ModelReference::Parse("hf://org/private").value();
  Allow();
  model_.allow_patterns = {"a"};
  EXPECT_TRUE(After(Code::kUnavailable)) << "the repository's are one";
}

TEST_F(RightsTest, ARefusalOfSomeFilesTakesThoseToOthersToo) {
  model_ = ModelReference::Parse("s3://bucket/m").value();
  for (const char* file : {"a", "b"}) {
    model_.allow_patterns = {file};
    Allow();
  }
  rights_->Refused(snapshot_.origin, model_, Me());
  model_.allow_patterns = {"a"};
  EXPECT_FALSE(After(Code::kUnavailable)) << "the keys may have been revoked";
}

TEST_F(RightsTest, AreOfOneOrigin) {
  Allow();
  snapshot_.origin = "hf+https://hub.test/org/other";
  EXPECT_FALSE(Unasked());
  EXPECT_FALSE(After(Code::kUnavailable));
}

TEST_F(RightsTest, CountUnaskedUntilTheRecheckAndWithTheSourceAwayUntilTheirEnd) {
  Allow();
  clock_.Advance(kRecheck - std::chrono::seconds(1));
  EXPECT_TRUE(Unasked());
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_FALSE(Unasked());
  EXPECT_TRUE(After(Code::kUnavailable));
  Allow();
  EXPECT_TRUE(Unasked()) << "it was asked again";
  clock_.Advance(kTtl);
  EXPECT_FALSE(After(Code::kUnavailable));
}

TEST_F(RightsTest, LiveNoLongerBecauseTheClockWasSetBack) {
  Allow();
  clock_.Advance(kTtl - std::chrono::seconds(10));
  clock_.Set(std::chrono::seconds(20) - kTtl);
  EXPECT_TRUE(After(Code::kUnavailable));
  clock_.Advance(std::chrono::seconds(10));
  EXPECT_FALSE(After(Code::kUnavailable));
}

TEST_F(RightsTest, ThatTheSourceTakesBackAreGoneAtOnceAndForGood) {
  Allow();
  rights_->Refused(snapshot_.origin, model_, Me());
  EXPECT_FALSE(Unasked());
  EXPECT_FALSE(After(Code::kUnavailable));
  Reopen();
  Use({.grant_ttl = kTtl, .recheck_after = kRecheck});
  EXPECT_FALSE(After(Code::kUnavailable));
}

TEST_F(RightsTest, AreNotTakenBackByWhatSomebodyElseIsRefused) {
  Allow();
  Credentials wrong{.values = {{"HF_TOKEN", "wrong"}}};
  rights_->Refused(snapshot_.origin, model_, {.credentials = wrong, .pod_namespace = ""});
  EXPECT_TRUE(Unasked());
}

TEST_F(RightsTest, CountOnlyWhereTheSourceIsAway) {
  Allow();
  for (Code code :
       {Code::kUnauthenticated, Code::kPermissionDenied, Code::kNotFound, Code::kInvalidArgument,
        Code::kFailedPrecondition, Code::kCancelled, Code::kDeadlineExceeded, Code::kInternal}) {
    EXPECT_FALSE(After(code)) << static_cast<int>(code);
  }
}

TEST_F(RightsTest, SurviveAStart) {
  Allow();
  Reopen();
  Use({.grant_ttl = kTtl, .recheck_after = kRecheck});
  EXPECT_TRUE(Unasked());
}

TEST_F(RightsTest, AreForgottenAtAStartThatIsTooLateForThem) {
  Allow();
  clock_.Advance(kTtl + std::chrono::seconds(1));
  Reopen();
  Use({.grant_ttl = kTtl, .recheck_after = kRecheck});
  EXPECT_EQ(store_->Count().grants, 0u);
}

TEST_F(RightsTest, ThatAreOldAreForgottenWhereOthersComeToBe) {
  Allow();
  clock_.Advance(kTtl + std::chrono::seconds(1));
  credentials_.values["HF_TOKEN"] = "another";
  Allow();
  EXPECT_EQ(store_->Count().grants, 1u);
}

TEST_F(RightsTest, ToTheAllowlistedAreEverybodysWithThatPolicyOnly) {
  RightsOptions options{.never_verify = {"hf://org/*"}, .grant_ttl = kTtl};
  Use(options);
  EXPECT_FALSE(Unasked());
  EXPECT_FALSE(After(Code::kUnauthenticated));
  options.policy = RightsOptions::Policy::kNeverVerifyAllowlisted;
  rights_->SetOptions(options);
  EXPECT_TRUE(Unasked());
  EXPECT_TRUE(After(Code::kUnavailable));
  EXPECT_TRUE(After(Code::kUnauthenticated));
  EXPECT_FALSE(After(Code::kInvalidArgument)) << "a listing that is hostile";
  model_.uri = "hf://other/private";
  EXPECT_FALSE(Unasked());
  for (const char* uri : {"hf://org/../other", "hf://org/%2e%2E/other", "hf://org/./a",
                          "hf://org/..%2fother", "hf://org/..\\other"}) {
    model_.uri = uri;
    EXPECT_FALSE(Unasked()) << uri;
  }
}

TEST_F(RightsTest, ToWhatIsPublicAreEverybodysUnlessTheSourceRefuses) {
  snapshot_.anonymous = true;
  credentials_.values.clear();
  EXPECT_TRUE(Unasked());
  EXPECT_TRUE(After(Code::kUnavailable));
  EXPECT_FALSE(After(Code::kUnauthenticated));
}

TEST_F(RightsTest, OfASignedUrlAreThoseOfItsSignature) {
  credentials_.values.clear();
  model_.uri = "https://store.test/model.bin?signature=right";
  Allow();
  EXPECT_TRUE(After(Code::kUnavailable));
  model_.uri = "https://store.test/model.bin?signature=wrong";
  EXPECT_FALSE(After(Code::kUnavailable));
  model_.uri = "https://store.test/model.bin";
  EXPECT_FALSE(After(Code::kUnavailable));
}

TEST_F(RightsTest, AreNoneWithShorterTimesFromThenOn) {
  Allow();
  rights_->SetOptions({.grant_ttl = std::chrono::seconds(0), .recheck_after = kRecheck});
  EXPECT_FALSE(Unasked());
  EXPECT_FALSE(After(Code::kUnavailable));
}

}  // namespace
}  // namespace weighhouse
