// What a claim gets of a model that its credentials may not see, or that its source refuses.

#include <filesystem>

#include "test/cache-daemon/engine/volume_fixture.h"

namespace weighhouse {
namespace {

constexpr const char* kToken = "hf_fixture";

class EngineVolumeRightsTest : public VolumeFixture {
 protected:
  void Start() {
    AddFile("org/private", "private.bin", std::string(kMiB, 'p'));
    AddFile("org/private", ".fixture.json", R"({"private": true, "granted": ["hf_fixture"]})");
    StartHub({"--token", kToken, "--token", "hf_other"});
    OpenEngine();
  }
  static VolumeRequest With(const std::string& token, VolumeRequest request) {
    request.credentials.values["HF_TOKEN"] = token;
    return request;
  }
  /// Nothing but an error came of it.
  void ExpectRefused(const VolumeRequest& request, Code code) {
    EXPECT_EQ(CodeOf(request), code) << request.model.ToString();
    EXPECT_EQ(HoldCount(), 0u);
    EXPECT_TRUE(Names("volumes").empty());
    EXPECT_TRUE(Names("snapshots").empty());
  }
};

TEST_F(EngineVolumeRightsTest, OfAPrivateModelThatIsHereWaitsForItsSourceUnlessThatGaveItBefore) {
  Start();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kPrivate, kToken)));
  std::string commit = hub_->Commit("org/private");
  hub_->SetFaults(R"([{"side": "hub", "path": "/api/", "action": {"kind": "pause"}}])");
  VolumeRequest request = InAHurry(With("hf_other", Of("volume", kPrivate, kMiB)));
  EXPECT_EQ(CodeOf(request), Code::kAborted) << "what it may know is still being asked";
  EXPECT_EQ(HoldCount(), 0u);
  ASSERT_OK_AND_ASSIGN(granted,
                       engine_->CreateVolume(InAHurry(With(kToken, Of("granted", kPrivate)))));
  EXPECT_EQ(granted.commit, commit);
  hub_->ClearFaults();
  EXPECT_TRUE(Becomes([&] { return engine_->CreateVolume(request).has_value(); }));
  EXPECT_EQ(engine_->GetVolume("volume")->commit, "");
}

TEST_F(EngineVolumeRightsTest, ASecondOneWithTheSameRightsHasTheCommitWithTheHubAway) {
  Start();
  ASSERT_OK_AND_ASSIGN(first, engine_->CreateVolume(With(kToken, Of("first", kPrivate))));
  hub_.reset();
  ASSERT_OK_AND_ASSIGN(second, engine_->CreateVolume(With(kToken, Of("second", kPrivate))));
  EXPECT_EQ(second.commit, first.commit);
  EXPECT_FALSE(second.commit.empty());
  EXPECT_EQ(CodeOf(Of("without", kPrivate)), Code::kUnavailable)
      << "what one was told is not told to another";
  EXPECT_EQ(engine_->GetVolume("without").error().code, Code::kNotFound);
  EXPECT_EQ(HoldCount(), 2u);
}

TEST_F(EngineVolumeRightsTest, OfAPrivateModelThatAStartInterruptedIsFilledByTheSameAgain) {
  Start();
  hub_->SetFaults(R"([{"side": "cdn", "path": "private.bin", "action": {"kind": "pause"}}])");
  VolumeRequest request = Of("volume", kPrivate);
  ASSERT_TRUE(engine_->CreateVolume(With(kToken, request)));
  engine_.reset();
  hub_->ClearFaults();
  OpenEngine();
  ASSERT_TRUE(engine_->CreateVolume(request));
  EXPECT_TRUE(Becomes([&] { return engine_->Info()->fills_active == 0; }))
      << "without its rights there is nothing to be had";
  EXPECT_EQ(engine_->Info()->contents.snapshots_complete, 0u);
  ASSERT_TRUE(engine_->CreateVolume(With(kToken, request)));
  EXPECT_TRUE(BecomesComplete(1));
}

TEST_F(EngineVolumeRightsTest, WithATokenThatMayNotSeeItHoldsTheBytesAskedFor) {
  Start();
  ASSERT_OK_AND_ASSIGN(volume,
                       engine_->CreateVolume(With("hf_other", Of("volume", kPrivate, 2 * kMiB))));
  EXPECT_EQ(volume.commit, "");
  EXPECT_EQ(engine_->Capacity()->for_holds, 2 * kMiB);
  EXPECT_TRUE(Names("snapshots").empty());
}

TEST_F(EngineVolumeRightsTest, OfARevisionThatThereIsNotIsRefused) {
  Start();
  ExpectRefused(With(kToken, Of("volume", "hf://org/private@none", kMiB)), Code::kNotFound);
}

TEST_F(EngineVolumeRightsTest, OfADisabledModelIsRefused) {
  AddFile("org/disabled", "model.bin", "bytes");
  AddFile("org/disabled", ".fixture.json", R"({"disabled": true})");
  Start();
  ExpectRefused(Of("volume", "hf://org/disabled", kMiB), Code::kPermissionDenied);
}

TEST_F(EngineVolumeRightsTest, OfAFileOutsideOfTheAllowedDirectoriesIsRefused) {
  Start();
  EngineOptions options = Options();
  options.local_roots = {(directory_ / "allowed").string()};
  std::filesystem::create_directory(directory_ / "allowed");
  WriteTestFile(directory_ / "outside/model.bin", "bytes");
  ASSERT_TRUE(engine_->Reconfigure(options));
  std::string model = "file://" + (directory_ / "outside").string();
  ExpectRefused(Of("volume", model, kMiB), Code::kPermissionDenied);
}

TEST_F(EngineVolumeRightsTest, OfAFileThatWantsCredentialsWaitsForThePods) {
  Start();
  std::string model = hub_->hub_url() + "/org/private/resolve/main/private.bin";
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("volume", model, kMiB)));
  EXPECT_EQ(volume.commit, "");
  EXPECT_EQ(HoldCount(), 1u);
}

TEST_F(EngineVolumeRightsTest, OfAFileThatThereIsNotIsRefused) {
  Start();
  std::string model = hub_->hub_url() + "/org/nothing.bin";
  ExpectRefused(Of("volume", model, kMiB), Code::kNotFound);
}

TEST_F(EngineVolumeRightsTest, OfAModelThatItsHubContradictsIsRefusedAndNotForSpace) {
  AddFile("org/gated", "model.bin", std::string(kMiB, 'g'));
  AddFile("org/gated", ".fixture.json", R"({"gated": true})");
  Start();
  hub_->SetFaults(R"([{"side": "hub", "path": "/resolve/",
                       "action": {"kind": "header", "name": "X-Linked-Size", "value": "7"}}])");
  ExpectRefused(With(kToken, Of("volume", "hf://org/gated", kMiB)), Code::kFailedPrecondition);
  EXPECT_EQ(Acquire(LeasedRequest("hf://org/gated", "pod", kToken)).error().code,
            Code::kFailedPrecondition);
  EXPECT_EQ(engine_->Info()->refused_for_space, 0u);
}

}  // namespace
}  // namespace weighhouse
