// Who is given a private model that is here, with its Hub and without.

#include "test/cache-daemon/engine/volume_fixture.h"

namespace weighhouse {
namespace {

constexpr const char* kRight = "hf_right";
constexpr const char* kStranger = "hf_stranger";

class EngineRightsTest : public VolumeFixture {
 protected:
  void Start() {
    AddFile("org/private", "private.bin", std::string(kMiB, 'p'));
    AddFile("org/private", ".fixture.json", R"({"private": true, "granted": ["hf_right"]})");
    AddFile("org/gated", "README.md", "gated");
    AddFile("org/gated", "gated.bin", std::string(kMiB, 'g'));
    AddFile("org/gated", ".fixture.json", R"({"gated": true, "granted": ["hf_right"]})");
    StartHub({"--token", kRight, "--token", kStranger});
    OpenEngine();
  }
  std::string AtCommit(const std::string& model) {
    return model + "@" + hub_->Commit(model.substr(std::string("hf://").size()));
  }
  /// Has it here, for `token`.
  void Bring(const std::string& model, const std::string& token = kRight) {
    Result<AcquiredTree> tree = Acquire(Request(model, token));
    ASSERT_TRUE(tree) << tree.error().message;
  }
  Code CodeFor(const std::string& model, const std::string& token) {
    Result<AcquiredTree> tree = Acquire(Request(model, token));
    EXPECT_FALSE(tree);
    return tree ? Code::kUnknown : tree.error().code;
  }
  std::optional<AcquiredTree::ServedFrom> ServedFrom(const std::string& model,
                                                     const std::string& token) {
    Result<AcquiredTree> tree = Acquire(Request(model, token));
    EXPECT_TRUE(tree) << tree.error().message;
    if (!tree) return std::nullopt;
    EXPECT_EQ(tree->bytes_fetched, 0u);
    return tree->served_from;
  }
  void Reconfigure(RightsOptions rights) {
    EngineOptions options = Options();
    options.rights = std::move(rights);
    ASSERT_TRUE(engine_->Reconfigure(options));
  }
  static constexpr auto kCache = AcquiredTree::ServedFrom::kCache;
  static constexpr auto kSource = AcquiredTree::ServedFrom::kSource;
};

TEST_F(EngineRightsTest, APinnedPrivateModelIsServedToItsGrantsWithTheHubGone) {
  Start();
  std::string pinned = AtCommit(kPrivate);
  Bring(pinned);
  hub_.reset();
  EXPECT_EQ(ServedFrom(pinned, kRight), kCache);
  EXPECT_EQ(CodeFor(pinned, kStranger), Code::kUnavailable);
  EXPECT_EQ(CodeFor(pinned, ""), Code::kUnavailable);
  OpenEngine();
  EXPECT_EQ(ServedFrom(pinned, kRight), kCache) << "after a start";
  EXPECT_EQ(CodeFor(pinned, kStranger), Code::kUnavailable);
}

TEST_F(EngineRightsTest, ABranchMeansItsLastKnownCommitToItsGrantsWithTheHubGone) {
  Start();
  Bring(kPrivate);
  hub_.reset();
  EXPECT_EQ(ServedFrom(kPrivate, kRight), kCache);
  EXPECT_EQ(CodeFor(kPrivate, kStranger), Code::kUnavailable);
}

TEST_F(EngineRightsTest, OthersRightsToACommitThatIsHereAreAskedForOnceAndCheaply) {
  Start();
  AddFile("org/private", ".fixture.json", R"({"private": true})");
  hub_->Rescan();
  std::string pinned = AtCommit(kPrivate);
  Bring(pinned);
  hub_->Reset();
  EXPECT_EQ(ServedFrom(pinned, kStranger), kSource);
  EXPECT_EQ(hub_->Stat("api_calls"), 1);
  EXPECT_EQ(ServedFrom(pinned, kStranger), kCache);
  EXPECT_EQ(hub_->Stat("api_calls"), 1);
  EXPECT_EQ(hub_->Stat("resolve_calls"), 0);
}

TEST_F(EngineRightsTest, ARevokedTokenIsNoticedAtTheRecheckAndThenServedNoMore) {
  Start();
  std::string pinned = AtCommit(kPrivate);
  Bring(pinned);
  hub_->SetTokens(R"(["hf_stranger"])");
  EXPECT_EQ(ServedFrom(pinned, kRight), kCache) << "not asked for again yet";
  Reconfigure({.recheck_after = std::chrono::seconds(0)});
  EXPECT_EQ(CodeFor(pinned, kRight), Code::kUnauthenticated);
  Reconfigure({});
  hub_.reset();
  EXPECT_EQ(CodeFor(pinned, kRight), Code::kUnavailable);
}

TEST_F(EngineRightsTest, ARevocationThatAnotherQuestionShowsCountsForAll) {
  Start();
  std::string pinned = AtCommit(kPrivate);
  Bring(pinned);
  hub_->SetTokens(R"(["hf_stranger"])");
  EXPECT_EQ(CodeFor("hf://org/private@never-seen", kRight), Code::kUnauthenticated);
  EXPECT_EQ(CodeFor(pinned, kRight), Code::kUnauthenticated);
}

TEST_F(EngineRightsTest, WithoutGrantsNobodyIsServedWithTheHubGone) {
  Start();
  std::string pinned = AtCommit(kPrivate);
  Bring(pinned);
  Reconfigure({.grant_ttl = std::chrono::seconds(0)});
  hub_.reset();
  EXPECT_EQ(CodeFor(pinned, kRight), Code::kUnavailable);
}

TEST_F(EngineRightsTest, TheListedFilesOfAGatedModelGiveNoRightToItsWeights) {
  Start();
  std::string pinned = AtCommit("hf://org/gated");
  Bring(pinned);
  AcquireRequest readme = Request(pinned, kStranger);
  readme.model.allow_patterns = std::vector<std::string>{"README.md"};
  Result<AcquiredTree> read = Acquire(readme);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::kPermissionDenied);
  AcquireRequest granted = Request(pinned, kRight);
  granted.model.allow_patterns = readme.model.allow_patterns;
  ASSERT_TRUE(Acquire(granted));
  EXPECT_EQ(Acquire(readme).error().code, Code::kPermissionDenied) << "of a commit that is here";
  EXPECT_EQ(CodeFor(pinned, kStranger), Code::kPermissionDenied);
}

TEST_F(EngineRightsTest, AnAllowlistedModelIsAnybodysWhileItIsHere) {
  Start();
  std::string pinned = AtCommit(kPrivate);
  Reconfigure({.policy = RightsOptions::Policy::kNeverVerifyAllowlisted,
               .never_verify = {"hf://org/private"}});
  EXPECT_EQ(CodeFor(pinned, ""), Code::kUnauthenticated) << "it isn't here";
  Bring(pinned);
  Bring(kPrivate);
  EXPECT_EQ(ServedFrom(pinned, ""), kCache);
  EXPECT_EQ(ServedFrom(kPrivate, kStranger), kCache);
  Reconfigure({});
  EXPECT_EQ(CodeFor(pinned, ""), Code::kUnauthenticated);
}

TEST_F(EngineRightsTest, ClaimsGoByGrantsToo) {
  Start();
  Bring(AtCommit(kPrivate));
  Bring(kPrivate);
  std::string commit = hub_->Commit("org/private");
  OpenEngine();
  hub_.reset();
  VolumeRequest request = Of("volume", kPrivate);
  request.credentials.values["HF_TOKEN"] = kRight;
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(request));
  EXPECT_EQ(volume.commit, commit);
  request.volume_id = "strangers";
  request.credentials.values["HF_TOKEN"] = kStranger;
  EXPECT_EQ(CodeOf(request), Code::kUnavailable);
}

TEST_F(EngineRightsTest, WhatIsPublicTodayIsEverybodysFromThenOn) {
  Start();
  std::string pinned = AtCommit(kPrivate);
  Bring(pinned);
  AddFile("org/private", ".fixture.json", "{}");
  hub_->Rescan();
  EXPECT_EQ(ServedFrom(pinned, ""), kSource);
  hub_.reset();
  EXPECT_EQ(ServedFrom(pinned, ""), kCache);
}

}  // namespace
}  // namespace weighhouse
