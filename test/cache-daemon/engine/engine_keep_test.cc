// The models that the configuration keeps.

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include <gmock/gmock.h>

#include "test/cache-daemon/engine/engine_fixture.h"

namespace weighhouse {
namespace {

using ::testing::HasSubstr;

constexpr Bytes kSize = 2 * kMiB;
constexpr char kKeepModel[] = "hf://acme/model";
constexpr char kOtherKept[] = "hf://acme/other";
constexpr char kHubAway[] =
    R"([{"side":"hub","path":"","times":-1,"action":{"kind":"status","status":503,"headers":{},"body":""}}])";
constexpr char kCdnAway[] =
    R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"status","status":503,"headers":{},"body":""}}])";

constexpr char kCdnLacksMore[] =
    R"([{"side":"cdn","path":"more.safetensors","times":-1,"action":{"kind":"status","status":503,"headers":{},"body":""}}])";
constexpr char kCdnStalls[] =
    R"([{"side":"cdn","path":"","times":1,"action":{"kind":"stall","after":1000,"seconds":1}}])";

class EngineKeepTest : public EngineTest {
 protected:
  EngineKeepTest() {
    AddFile("acme/model", "model.safetensors", PatternBytes(kSize, 61));
    AddFile("acme/other", "model.safetensors", PatternBytes(kSize, 62));
    StartHub({"--token", "hf_token"});
  }
  EngineOptions Keeping(const std::vector<std::string>& models, Bytes limit = 64 * kMiB) const {
    EngineOptions options = Options();
    options.store.limit = limit;
    options.store.min_free = 0;
    for (const std::string& model : models)
      options.keep.push_back(ModelReference::Parse(model).value());
    return options;
  }
  /// A model of this machine.
  AcquireRequest Local(const std::string& name, size_t size) {
    WriteTestFile(directory_ / ("local/" + name), PatternBytes(size, size));
    return LeasedRequest("file://" + (directory_ / ("local/" + name)).string(), name);
  }
  std::optional<SnapshotView> Find(const std::string& id) {
    for (SnapshotView& view : engine_->List()) {
      if (view.snapshot.id == id) return std::move(view);
    }
    return std::nullopt;
  }
  bool IsKept(const std::string& id) {
    std::optional<SnapshotView> view = Find(id);
    return view && view->kept;
  }
  KeepView Keep(size_t number = 0) { return engine_->Info()->keep.at(number); }
  /// The snapshot that the n-th model is kept as, once there is one and nothing is wrong; "" after
  /// a minute.
  std::string WaitUntilKept(size_t number = 0) {
    bool complete =
        Becomes([&] { return !Keep(number).snapshot_id.empty() && Keep(number).problem.empty(); });
    EXPECT_TRUE(complete) << Keep(number).problem;
    EXPECT_TRUE(IsKept(Keep(number).snapshot_id));
    return complete ? Keep(number).snapshot_id : "";
  }
  /// Why the model isn't there, once that is known; "" after a minute.
  std::string WaitForProblem(size_t number = 0) {
    std::string problem;
    Becomes([&] { return !(problem = Keep(number).problem).empty(); });
    return problem;
  }
  /// Fetches the model, kept, and ends the engine.
  std::string KeepAndClose(const std::string& model) {
    OpenEngine(Keeping({model}));
    std::string id = WaitUntilKept();
    engine_.reset();
    return id;
  }
  void ChangeUpstream() {
    std::filesystem::remove(models_ / "acme/model/model.safetensors");
    AddFile("acme/model", "model.safetensors", PatternBytes(kSize, 63));
    hub_->Rescan();
  }
};

TEST_F(EngineKeepTest, IsFetchedAtTheStartAndNotEvicted) {
  OpenEngine(Keeping({kKeepModel}));
  std::string id = WaitUntilKept();
  EXPECT_TRUE(Find(id)->snapshot.complete);
  EXPECT_THAT(Find(id)->references, ::testing::ElementsAre(kKeepModel));
  for (const auto& refused : {engine_->Evict(id, ""), engine_->Evict("", kKeepModel)}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
    EXPECT_THAT(refused.error().message, HasSubstr("kept by the configuration"));
  }
  EXPECT_EQ(engine_->Info()->contents.snapshots_kept, 1U);
}

TEST_F(EngineKeepTest, IsKeptFromTheFirstMomentWithTheSourceAway) {
  std::string id = KeepAndClose(kKeepModel);
  hub_.reset();
  OpenEngine(Keeping({kKeepModel}));
  EXPECT_TRUE(IsKept(id));
  EXPECT_EQ(Keep().snapshot_id, id);
  EXPECT_NE(WaitForProblem(), "") << "its source was not asked";
  EXPECT_TRUE(IsKept(id));
  EXPECT_EQ(engine_->Evict(id, "").error().code, Code::kFailedPrecondition);
}

TEST_F(EngineKeepTest, WhatItMeantAtAnotherHubIsNotWhatIsServedUntilItIsFilled) {
  std::string old = KeepAndClose(kKeepModel);
  hub_.reset();
  StartHub();
  hub_->SetFaults(R"([{"side":"cdn","action":{"kind":"pause"}}])");
  EngineOptions options = Keeping({kKeepModel});
  options.transport.stall_timeout = std::chrono::minutes(1);
  OpenEngine(options);
  // A restart would find nothing that names what was fetched of it until then.
  EXPECT_TRUE(Becomes([&] {
    return std::ranges::any_of(engine_->List(), [&](const SnapshotView& view) {
      return view.snapshot.id != old && view.filling && !view.references.empty();
    });
  }));
  hub_->ClearFaults();
  EXPECT_NE(WaitUntilKept(), old);
}

TEST_F(EngineKeepTest, CommitThatIsHereIsAskedOfNobody) {
  std::string pinned = std::string(kKeepModel) + "@" + hub_->Commit("acme/model");
  std::string id = KeepAndClose(pinned);
  hub_.reset();
  OpenEngine(Keeping({pinned, kOtherKept}));
  EXPECT_NE(WaitForProblem(1), "") << "it comes after the first";
  EXPECT_EQ(Keep(0).problem, "");
  EXPECT_EQ(Keep(0).snapshot_id, id);
}

TEST_F(EngineKeepTest, IsFetchedOnceItIsListedAndLetGoOnceItIsNot) {
  OpenEngine(Keeping({}));
  ASSERT_TRUE(engine_->Reconfigure(Keeping({kKeepModel, kOtherKept})));
  std::string model = WaitUntilKept(0);
  std::string other = WaitUntilKept(1);
  ASSERT_TRUE(engine_->Reconfigure(Keeping({kOtherKept})));
  EXPECT_FALSE(IsKept(model));
  EXPECT_TRUE(IsKept(other));
  EXPECT_TRUE(engine_->Evict(model, ""));
  EXPECT_FALSE(engine_->Evict(other, ""));
}

TEST_F(EngineKeepTest, SnapshotOfTwoReferencesIsKeptForEither) {
  std::string commit = std::string(kKeepModel) + "@" + hub_->Commit("acme/model");
  OpenEngine(Keeping({kKeepModel, commit}));
  std::string id = WaitUntilKept(0);
  EXPECT_EQ(WaitUntilKept(1), id);
  ASSERT_TRUE(engine_->Reconfigure(Keeping({commit})));
  EXPECT_TRUE(IsKept(id));
  ASSERT_TRUE(engine_->Reconfigure(Keeping({})));
  EXPECT_FALSE(IsKept(id));
}

TEST_F(EngineKeepTest, MovedBranchLetsTheOldSnapshotGoOnceTheNewOneIsComplete) {
  std::string old = KeepAndClose(kKeepModel);
  ChangeUpstream();
  hub_->SetFaults(kCdnAway);
  OpenEngine(Keeping({kKeepModel}));
  EXPECT_NE(WaitForProblem(), "") << "the new one can't be had yet";
  ASSERT_EQ(engine_->List().size(), 2U);
  for (const SnapshotView& view : engine_->List()) EXPECT_TRUE(view.kept) << view.snapshot.id;
  EXPECT_EQ(Keep().snapshot_id, old);
  // A restart in between loses nothing of that.
  OpenEngine(Keeping({kKeepModel}));
  EXPECT_TRUE(IsKept(old));
  hub_->ClearFaults();
  ASSERT_TRUE(Becomes([&] { return Keep().snapshot_id != old; }));
  std::string now = WaitUntilKept();
  EXPECT_TRUE(Find(now)->snapshot.complete);
  EXPECT_FALSE(IsKept(old));
  EXPECT_TRUE(engine_->Evict(old, ""));
}

TEST_F(EngineKeepTest, SourceThatIsAwayIsAskedAgain) {
  hub_->SetFaults(kHubAway);
  OpenEngine(Keeping({kKeepModel}));
  EXPECT_NE(WaitForProblem(), "");
  EXPECT_EQ(Keep().snapshot_id, "");
  hub_->ClearFaults();
  WaitUntilKept();
}

TEST_F(EngineKeepTest, IsFetchedOnceThereIsRoom) {
  OpenEngine(Keeping({}, 3 * kMiB));
  AcquireRequest pod = Local("pod", kSize);
  ASSERT_TRUE(Acquire(pod));
  ASSERT_TRUE(engine_->Reconfigure(Keeping({kKeepModel}, 3 * kMiB)));
  EXPECT_THAT(WaitForProblem(), HasSubstr("need 2.0 MiB; limit 3.0 MiB"));
  ASSERT_TRUE(engine_->Release(pod.lease_id));
  WaitUntilKept();
}

TEST_F(EngineKeepTest, LargerLimitIsTakenUpAtOnce) {
  OpenEngine(Keeping({kKeepModel}, kMiB));
  EXPECT_THAT(WaitForProblem(), HasSubstr("the cache's limit is 1.0 MiB"));
  ASSERT_TRUE(engine_->Reconfigure(Keeping({kKeepModel}, 3 * kMiB)));
  WaitUntilKept();
}

TEST_F(EngineKeepTest, ListThatDoesNotFitSaysWhichModelDoesNotAndLosesNone) {
  std::string first = KeepAndClose(kKeepModel);
  OpenEngine(Keeping({kOtherKept, kKeepModel}, 3 * kMiB));
  EXPECT_THAT(WaitForProblem(0), HasSubstr("held by pods or kept 2.0 MiB"));
  EXPECT_TRUE(IsKept(first));
  EXPECT_EQ(Keep(1).snapshot_id, first);
  // Again and again, it is the same one: none is evicted for the other.
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(engine_->Reconfigure(Keeping({kOtherKept, kKeepModel}, 3 * kMiB)));
    EXPECT_THAT(WaitForProblem(0), HasSubstr("need 2.0 MiB"));
    EXPECT_TRUE(Find(first)->snapshot.complete);
  }
  EXPECT_EQ(Keep(0).snapshot_id, "");
}

TEST_F(EngineKeepTest, PartsOfSeveralDoNotKeepEachFromBeingCompleteWhereOneFits) {
  AddFile("acme/model", "more.safetensors", PatternBytes(kSize, 64));
  AddFile("acme/other", "more.safetensors", PatternBytes(kSize, 65));
  hub_->Rescan();
  hub_->SetFaults(kCdnLacksMore);
  OpenEngine(Keeping({kKeepModel, kOtherKept}));
  ASSERT_TRUE(Becomes([&] {
    auto has_part = [](const SnapshotView& view) { return view.snapshot.PresentBytes() == kSize; };
    std::vector<SnapshotView> views = engine_->List();
    return views.size() == 2 && std::ranges::all_of(views, has_part);
  }));
  engine_.reset();
  hub_->ClearFaults();
  OpenEngine(Keeping({kKeepModel, kOtherKept}, 5 * kMiB));
  ASSERT_TRUE(Becomes([&] { return !Keep(0).snapshot_id.empty() || !Keep(1).snapshot_id.empty(); }))
      << Keep(0).problem << " / " << Keep(1).problem;
  size_t whole = Keep(0).snapshot_id.empty() ? 1 : 0;
  EXPECT_THAT(WaitForProblem(1 - whole), HasSubstr("limit 5.0 MiB"));
  EXPECT_TRUE(IsKept(Keep(whole).snapshot_id));
}

TEST_F(EngineKeepTest, PodThatWaitsForItJoinsItsFill) {
  OpenEngine(Keeping({kKeepModel}));
  ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(kKeepModel, "pod")));
  EXPECT_EQ(WaitUntilKept(), tree.snapshot_id);
  EXPECT_EQ(engine_->Info()->bytes_fetched, kSize);
}

TEST_F(EngineKeepTest, SourceThatIsAwayKeepsNoPodWaiting) {
  hub_->SetFaults(kHubAway);
  OpenEngine(Keeping({kKeepModel, kOtherKept}));
  EXPECT_TRUE(Acquire(Local("pod", kSize)));
  EXPECT_NE(WaitForProblem(0), "");
  EXPECT_NE(WaitForProblem(1), "");
}

TEST_F(EngineKeepTest, TakenOffTheListWhileItFillsItIsFilledAndEvictable) {
  hub_->SetFaults(kCdnStalls);
  OpenEngine(Keeping({kKeepModel}));
  ASSERT_TRUE(Becomes([&] {
    std::vector<SnapshotView> views = engine_->List();
    return !views.empty() && views.front().filling;
  }));
  std::string id = engine_->List().front().snapshot.id;
  EXPECT_TRUE(IsKept(id));
  ASSERT_TRUE(engine_->Reconfigure(Keeping({})));
  EXPECT_FALSE(IsKept(id));
  EXPECT_TRUE(engine_->Info()->keep.empty());
  hub_->ClearFaults();
  // The next fill finds it under way, or complete.
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kKeepModel)));
  EXPECT_EQ(tree.snapshot_id, id);
  ASSERT_TRUE(Becomes([&] { return engine_->Info()->fills_active == 0; }));
  EXPECT_TRUE(engine_->Evict(id, ""));
}

TEST_F(EngineKeepTest, ListedAgainWhileItFillsItIsKept) {
  hub_->SetFaults(kCdnStalls);
  OpenEngine(Keeping({kKeepModel}));
  ASSERT_TRUE(Becomes([&] { return engine_->Info()->fills_active == 1; }));
  ASSERT_TRUE(engine_->Reconfigure(Keeping({})));
  ASSERT_TRUE(engine_->Reconfigure(Keeping({kKeepModel})));
  WaitUntilKept();
  EXPECT_LT(engine_->Info()->bytes_fetched, kSize + kSize / 2) << "it was fetched twice";
}

TEST_F(EngineKeepTest, RevisionThatAPodBroughtReplacesTheOneThatItMeant) {
  OpenEngine(Keeping({kKeepModel}));
  std::string old = WaitUntilKept();
  ChangeUpstream();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kKeepModel)));
  EXPECT_TRUE(IsKept(old)) << "a branch is looked up where the list is taken over";
  ASSERT_TRUE(engine_->Reconfigure(Keeping({kKeepModel})));
  EXPECT_EQ(Keep().snapshot_id, tree.snapshot_id);
  EXPECT_TRUE(IsKept(tree.snapshot_id));
  EXPECT_FALSE(IsKept(old));
}

TEST_F(EngineKeepTest, FillThatNeedsItsRoomIsRefused) {
  OpenEngine(Keeping({kKeepModel}, 3 * kMiB));
  std::string id = WaitUntilKept();
  Result<AcquiredTree> refused = Acquire(Local("pod", kSize));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_TRUE(IsKept(id));
  ASSERT_TRUE(engine_->Reconfigure(Keeping({}, 3 * kMiB)));
  EXPECT_TRUE(Acquire(Local("pod", kSize)));
  EXPECT_FALSE(Find(id));
}

TEST_F(EngineKeepTest, FileThatProvesBadIsFetchedAgain) {
  OpenEngine(Keeping({kKeepModel}));
  std::string id = WaitUntilKept();
  Digest sha256 = *Find(id)->snapshot.files.at(0).blob;
  std::filesystem::path file =
      std::filesystem::path(root_) / "blobs/sha256" / sha256.Hex().substr(0, 2) / sha256.Hex();
  std::filesystem::permissions(file, std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  std::FILE* stream = std::fopen(file.c_str(), "r+");
  ASSERT_NE(stream, nullptr);
  std::fputs("damage", stream);
  std::fclose(stream);
  VerifyObserver observer{.on_finding = [](const VerifyFinding&) { return true; },
                          .on_progress = {}};
  ASSERT_OK_AND_ASSIGN(sums, engine_->Verify({}, observer, {}));
  EXPECT_EQ(sums.bad, 1U);
  EXPECT_TRUE(Becomes([&] { return Find(id)->snapshot.complete; }));
  EXPECT_TRUE(IsKept(id));
}

TEST_F(EngineKeepTest, PrivateModelIsNotFetchedButKeptOnceAPodBroughtIt) {
  AddFile("acme/model", ".fixture.json", R"({"private": true})");
  hub_->Rescan();
  OpenEngine(Keeping({kKeepModel}));
  EXPECT_NE(WaitForProblem(), "");
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kKeepModel, "hf_token")));
  ASSERT_TRUE(engine_->Reconfigure(Keeping({kKeepModel})));
  EXPECT_TRUE(IsKept(tree.snapshot_id));
  EXPECT_FALSE(Acquire(Request(kKeepModel))) << "that it is here gives nobody a right to it";
}

TEST_F(EngineKeepTest, DefaultRevisionIsTheSameNamedOrLeftOut) {
  AddFile("acme/model", ".fixture.json", R"({"private": true})");
  hub_->Rescan();
  const std::string named = std::string(kKeepModel) + "@main";
  for (const auto& [listed, published] :
       {std::pair(std::string(kKeepModel), named), {named, kKeepModel}}) {
    OpenEngine(Keeping({}));
    ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(published, "hf_token")));
    ASSERT_TRUE(engine_->Reconfigure(Keeping({listed})));
    EXPECT_TRUE(IsKept(tree.snapshot_id)) << listed;
    engine_.reset();
    std::filesystem::remove_all(root_);
  }
}

TEST_F(EngineKeepTest, FillThatTookLongDoesNotReplaceWhatAPodBroughtMeanwhile) {
  hub_->SetFaults(kCdnStalls);
  OpenEngine(Keeping({kKeepModel}));
  ASSERT_TRUE(Becomes([&] { return engine_->Info()->fills_active == 1; }));
  std::string slow = engine_->List().front().snapshot.id;
  AddFile("acme/model", "more.safetensors", PatternBytes(kMiB, 64));
  hub_->Rescan();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kKeepModel)));
  ASSERT_NE(tree.snapshot_id, slow);
  EXPECT_EQ(WaitUntilKept(), tree.snapshot_id);
  EXPECT_THAT(Find(tree.snapshot_id)->references, ::testing::ElementsAre(kKeepModel));
}

}  // namespace
}  // namespace weighhouse
