// What an admin forbids: which models, for whom, which files of them, and where their sources may
// be.

#include <gmock/gmock.h>

#include "test/cache-daemon/engine/volume_fixture.h"

namespace weighhouse {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Matches;
using ::testing::Not;

class EnginePolicyTest : public VolumeFixture {
 protected:
  EnginePolicyTest() {
    for (const char* model : {"org/model", "org/other"}) {
      AddFile(model, "model.safetensors", std::string(kMiB, 'm'));
      AddFile(model, "pytorch_model.bin", std::string(kMiB, 'p'));
      AddFile(model, "config.json", "{}");
    }
    StartHub();
    options_ = Options();
    OpenEngine(options_);
  }
  void Reconfigure() { ASSERT_TRUE(engine_->Reconfigure(options_)); }
  Code PublishCode(const std::string& model, const std::string& pod_namespace) {
    AcquireRequest request = LeasedRequest(model, pod_namespace + "-pod");
    request.holder.pod_namespace = pod_namespace;
    Result<AcquiredTree> tree = Acquire(request);
    return tree ? Code{} : tree.error().code;
  }
  Code ClaimCode(const std::string& model, const std::string& claim_namespace) {
    VolumeRequest request = Of(claim_namespace + "-volume", model);
    request.claim_namespace = claim_namespace;
    Result<store::VolumeRecord> volume = engine_->CreateVolume(request);
    return volume ? Code{} : volume.error().code;
  }
  void WaitUntilAsked(const std::string& entry) {
    auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!Matches(ContainsRegex(entry))(hub_->Log()))
      ASSERT_LT(std::chrono::steady_clock::now(), give_up) << "never asked: " << entry;
  }
  /// Ends the engine that has asked for the pickle, whose bytes are paused. They stay so: the hub
  /// logs a paused request when it goes on, which would look as if the next engine had sent it.
  void EndWithPickleUnderWay() {
    ASSERT_NO_FATAL_FAILURE(WaitUntilAsked("/resolve/[^\"]*/pytorch_model"));
    engine_.reset();
    hub_->Reset();
  }
  /// All files, whatever the default patterns leave out.
  static AcquireRequest Whole(const std::string& model) {
    AcquireRequest request = Request(model);
    request.model.ignore_patterns.emplace();
    return request;
  }
  std::vector<std::string> FilesOf(const Result<AcquiredTree>& tree) const {
    EXPECT_TRUE(tree) << tree.error().message;
    return tree ? Names(tree->tree) : std::vector<std::string>();
  }

  EngineOptions options_;
};

TEST_F(EnginePolicyTest, WhatIsDeniedIsRefusedEverywhereWhileItRuns) {
  ASSERT_TRUE(Acquire(Request(kModel)));
  options_.deny = {"hf://ORG/model"};
  options_.keep = {ModelReference::Parse(kModel).value()};
  Reconfigure();
  EXPECT_EQ(Acquire(Request(kModel)).error().code, Code::kPermissionDenied) << "though it is here";
  EXPECT_EQ(PublishCode(kModel, "team-a"), Code::kPermissionDenied);
  EXPECT_EQ(ClaimCode(kModel, "team-a"), Code::kPermissionDenied);
  EXPECT_EQ(engine_->Prefetch(Request(kModel).model, {}).error().code, Code::kPermissionDenied);
  EXPECT_EQ(engine_->Stat(Request(kModel).model, {}).error().code, Code::kPermissionDenied);
  EXPECT_FALSE(engine_->FitOf({.model = Request(kModel).model})->known);
  EXPECT_TRUE(Becomes([&] { return engine_->Info()->keep[0].problem.contains("sources.deny"); }));
  EXPECT_EQ(PublishCode(kOther, "team-a"), Code{});
  EXPECT_EQ(HoldCount(), 0u);
  options_.deny.clear();
  options_.keep.clear();
  Reconfigure();
  EXPECT_EQ(PublishCode(kModel, "team-a"), Code::kAlreadyExists)
      << "its lease is the other model's";
  EXPECT_EQ(PublishCode(kModel, "team-b"), Code{});
}

TEST_F(EnginePolicyTest, NamespacesHaveRulesOfTheirOwn) {
  options_.allow_by_namespace = {source::NamespaceRule::Parse("team-a=hf://org/model").value()};
  options_.deny_by_namespace = {source::NamespaceRule::Parse("team-b=hf://org/model").value()};
  Reconfigure();
  for (bool claim : {false, true}) {
    auto code = [&](const char* model, const char* pod_namespace) {
      return claim ? ClaimCode(model, pod_namespace) : PublishCode(model, pod_namespace);
    };
    EXPECT_EQ(code(kModel, "team-a"), Code{});
    EXPECT_EQ(code(kOther, "team-a-2"), Code{});
    EXPECT_EQ(code(kModel, "team-b"), Code::kPermissionDenied);
    EXPECT_EQ(code(kOther, ""), Code::kPermissionDenied) << "nobody knows whose it is";
  }
  EXPECT_EQ(ClaimCode(kOther, "team-a"), Code::kAlreadyExists) << "a volume of that name is there";
  AcquireRequest other = LeasedRequest(kOther, "second");
  other.holder.pod_namespace = "team-a";
  EXPECT_EQ(Acquire(other).error().code, Code::kPermissionDenied);
  EXPECT_TRUE(Acquire(Request(kOther))) << "an admin's wish";
  EXPECT_EQ(Names("leases").size(), 2u) << "no refused publish keeps one";
}

TEST_F(EnginePolicyTest, PicklesAreLeftOutBesideSafetensorsOrRefused) {
  EXPECT_THAT(FilesOf(Acquire(Whole(kModel))),
              ElementsAre("config.json", "model.safetensors", "pytorch_model.bin"));
  options_.pickle = source::PicklePolicy::kLeaveOutBesideSafetensors;
  Reconfigure();
  EXPECT_THAT(FilesOf(Acquire(Whole(kModel))), ElementsAre("config.json", "model.safetensors"));
  // Of a commit that is cached with them, too.
  AcquireRequest pinned = Whole(kModel);
  pinned.model.revision = hub_->Commit("org/model");
  EXPECT_THAT(FilesOf(Acquire(pinned)), ElementsAre("config.json", "model.safetensors"));
  options_.pickle = source::PicklePolicy::kRefuse;
  Reconfigure();
  Result<AcquiredTree> refused = Acquire(Whole(kOther));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("pytorch_model.bin"));
  EXPECT_THAT(FilesOf(Acquire(Request(kOther))), ElementsAre("config.json", "model.safetensors"))
      << "the default patterns leave it out";
}

TEST_F(EnginePolicyTest, ACachedModelWithPicklesIsNotServedWithThemWhileItsSourceIsAway) {
  ASSERT_TRUE(Acquire(Whole(kModel)));
  hub_.reset();
  options_.pickle = source::PicklePolicy::kRefuse;
  Reconfigure();
  Result<AcquiredTree> refused = Acquire(Whole(kModel));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  options_.pickle = source::PicklePolicy::kLeaveOutBesideSafetensors;
  Reconfigure();
  EXPECT_THAT(FilesOf(Acquire(Whole(kModel))), ElementsAre("config.json", "model.safetensors"));
}

TEST_F(EnginePolicyTest, AnInterruptedFillDoesNotGoOnWithPicklesThatAreRefusedSince) {
  for (auto policy :
       {source::PicklePolicy::kRefuse, source::PicklePolicy::kLeaveOutBesideSafetensors}) {
    options_.pickle = source::PicklePolicy::kAllow;
    options_.resume_fills = false;
    OpenEngine(options_);
    hub_->SetFaults(R"([{"side": "cdn", "path": "pytorch", "action": {"kind": "pause"}}])");
    auto observer = std::make_shared<RecordingObserver>();
    engine_->Acquire(Whole(kModel), observer);
    ASSERT_NO_FATAL_FAILURE(EndWithPickleUnderWay());
    options_.pickle = policy;
    options_.resume_fills = true;
    OpenEngine(options_);
    ASSERT_NO_FATAL_FAILURE(WaitUntilAsked("org/model"));
    ASSERT_TRUE(Acquire(Request(kOther))) << "what is asked for later is here by now";
    EXPECT_THAT(hub_->Log(), Not(HasSubstr("pytorch_model.bin")));
    ASSERT_EQ(engine_->List().size(), 2u);
    ASSERT_TRUE(engine_->Evict(Acquire(Request(kOther))->snapshot_id, ""));
    hub_->ClearFaults();
  }
}

TEST_F(EnginePolicyTest, APromiseIsNotFinishedWithPicklesThatAreRefusedSince) {
  VolumeRequest request = Of("volume", kModel);
  request.model.ignore_patterns.emplace();
  hub_->SetFaults(R"([{"side": "cdn", "path": "pytorch", "action": {"kind": "pause"}}])");
  ASSERT_TRUE(engine_->CreateVolume(request));
  ASSERT_NO_FATAL_FAILURE(EndWithPickleUnderWay());
  options_.pickle = source::PicklePolicy::kRefuse;
  OpenEngine(options_);
  EXPECT_TRUE(engine_->CreateVolume(request)) << "it is promised already";
  ASSERT_TRUE(Acquire(Request(kOther))) << "what is asked for later is here by now";
  EXPECT_THAT(hub_->Log(), Not(HasSubstr("pytorch_model.bin")));
}

TEST_F(EnginePolicyTest, TheHubThatIsConfiguredMayBeAtTheLoopbackAndWhereItSendsToMayNot) {
  options_.allow_addresses.clear();
  Reconfigure();
  Result<AcquiredTree> tree = Acquire(Request(kModel));
  ASSERT_FALSE(tree) << "its CDN is at another port";
  EXPECT_EQ(tree.error().code, Code::kPermissionDenied) << tree.error().message;
  EXPECT_THAT(tree.error().message, HasSubstr("sources.allowAddresses"));
  options_.allow_addresses = Options().allow_addresses;
  Reconfigure();
  EXPECT_TRUE(Acquire(Request(kModel)));
}

}  // namespace
}  // namespace weighhouse
