#include <unistd.h>

#include <nlohmann/json.hpp>

#include "test/cache-daemon/engine/engine_fixture.h"

namespace weighhouse {
namespace {

constexpr char kTinyModel[] = "hf://acme/tiny";

class TinyModelTest : public EngineTest {
 protected:
  TinyModelTest() : weights_(PatternBytes(9 * kMiB + 12345, 1)), config_(R"({"hidden_size": 8})") {
    AddFile("acme/tiny", "model.safetensors", weights_);
    AddFile("acme/tiny", "config.json", config_);
    AddFile("acme/tiny", "nested/empty.txt", "");
    StartHub();
  }
  /// Damages a file of the tree, and the blob with it.
  std::filesystem::path FlipFirstByte(const AcquiredTree& tree, const std::string& name) {
    std::filesystem::path file = std::filesystem::path(root_) / tree.tree / name;
    std::filesystem::permissions(file, std::filesystem::perms::owner_write,
                                 std::filesystem::perm_options::add);
    std::FILE* stream = std::fopen(file.c_str(), "r+");
    EXPECT_NE(stream, nullptr);
    if (stream == nullptr) return file;
    std::fputc(weights_[0] ^ 1, stream);
    std::fclose(stream);
    return file;
  }
  const std::string weights_;
  const std::string config_;
};

TEST_F(TinyModelTest, BringsEveryFileAndServesTheSecondFromTheCache) {
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(cold, Acquire(Request(kTinyModel)));
  EXPECT_EQ(Read(cold, "model.safetensors"), weights_);
  EXPECT_EQ(Read(cold, "config.json"), config_);
  EXPECT_EQ(Read(cold, "nested/empty.txt"), "");
  EXPECT_EQ(cold.revision, hub_->Commit("acme/tiny"));
  EXPECT_EQ(cold.bytes, weights_.size() + config_.size());
  EXPECT_EQ(cold.bytes_fetched, cold.bytes);
  int64_t fetched = hub_->Stat("cdn_bytes");
  ASSERT_OK_AND_ASSIGN(warm, Acquire(Request(kTinyModel)));
  EXPECT_EQ(warm.tree, cold.tree);
  EXPECT_EQ(warm.bytes_fetched, 0U);
  EXPECT_EQ(hub_->Stat("cdn_bytes"), fetched);
  EXPECT_TRUE(Names("ingests").empty());
}

TEST_F(TinyModelTest, ShowsTheSameFilesAsAHuggingFaceCache) {
  OpenEngine();
  AcquireRequest request = Request(kTinyModel);
  request.layout = Layout::kHub;
  ASSERT_OK_AND_ASSIGN(tree, Acquire(request));
  std::string commit = hub_->Commit("acme/tiny");
  EXPECT_EQ(Read(tree, "models--acme--tiny/refs/main"), commit);
  EXPECT_EQ(Read(tree, "models--acme--tiny/snapshots/" + commit + "/config.json"), config_);
}

TEST_F(TinyModelTest, FillsOnceForAllWhoAskAtTheSameTime) {
  OpenEngine();
  hub_->SetFaults(R"([{"side":"cdn","path":"","skip":0,"times":1,
                       "action":{"kind":"delay","seconds":0.3}}])");
  std::vector<std::shared_ptr<RecordingObserver>> observers;
  for (int i = 0; i < 8; ++i) {
    observers.push_back(std::make_shared<RecordingObserver>());
    engine_->Acquire(LeasedRequest(kTinyModel, "pod-" + std::to_string(i)), observers.back());
  }
  for (const auto& observer : observers) {
    Result<AcquiredTree> tree = observer->Wait();
    ASSERT_TRUE(tree) << tree.error().message;
  }
  EXPECT_EQ(hub_->Stat("cdn_bytes"), static_cast<int64_t>(weights_.size()));
  EXPECT_EQ(engine_->List().at(0).leases.size(), 8U);
}

TEST_F(TinyModelTest, GoesOnWhenTheCallerLeaves) {
  OpenEngine();
  hub_->SetFaults(
      R"([{"side":"cdn","path":"","times":1,"action":{"kind":"delay","seconds":0.3}}])");
  auto impatient = std::make_shared<RecordingObserver>();
  engine_->Acquire(Request(kTinyModel), impatient);
  impatient->WaitForFilling();
  impatient.reset();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kTinyModel)));
  EXPECT_EQ(Read(tree, "model.safetensors"), weights_);
  EXPECT_EQ(hub_->Stat("cdn_bytes"), static_cast<int64_t>(weights_.size()));
}

TEST_F(TinyModelTest, KeepsCommittedBlobsWhenItEndsInMidFill) {
  OpenEngine();
  hub_->SetFaults(
      R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"stall","after":1000,"seconds":30}}])");
  auto observer = std::make_shared<RecordingObserver>();
  engine_->Acquire(Request(kTinyModel), observer);
  observer->WaitForFilling();
  while (observer->last_progress()->files_done < 2) observer->WaitForFilling();
  engine_.reset();
  hub_->ClearFaults();
  hub_->Reset();
  OpenEngine();
  EXPECT_FALSE(engine_->List().at(0).snapshot.complete);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kTinyModel)));
  EXPECT_EQ(Read(tree, "config.json"), config_);
  EXPECT_EQ(hub_->Stat("resolve_calls"), 1) << "only the weights were missing";
}

TEST_F(TinyModelTest, AnswersAReplayedPublishWithoutTheSource) {
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(first, Acquire(LeasedRequest(kTinyModel, "pod")));
  hub_.reset();
  ASSERT_OK_AND_ASSIGN(again, Acquire(LeasedRequest(kTinyModel, "pod")));
  EXPECT_EQ(again.tree, first.tree);
  EXPECT_EQ(again.served_from, AcquiredTree::ServedFrom::kLease);
}

TEST_F(TinyModelTest, RefusesAnotherModelUnderTheSameLease) {
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(first, Acquire(LeasedRequest(kTinyModel, "pod")));
  AcquireRequest other = LeasedRequest(kTinyModel, "pod");
  other.layout = Layout::kHub;
  Result<AcquiredTree> refused = Acquire(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kAlreadyExists);
  EXPECT_EQ(engine_->List().at(0).leases.size(), 1U) << "the published volume keeps its lease";
}

TEST_F(TinyModelTest, LeavesNoLeaseWhenTheReleaseOvertakesTheAcquire) {
  OpenEngine();
  hub_->SetFaults(
      R"([{"side":"hub","path":"/api/models","times":1,"action":{"kind":"delay","seconds":0.4}}])");
  auto observer = std::make_shared<RecordingObserver>();
  AcquireRequest request = LeasedRequest(kTinyModel, "pod");
  engine_->Acquire(request, observer);
  ASSERT_TRUE(engine_->Release(request.lease_id));
  Result<AcquiredTree> outcome = observer->Wait();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kCancelled);
  EXPECT_TRUE(Names("leases").empty());
}

TEST_F(TinyModelTest, ServesAPublicModelWhileTheSourceIsAway) {
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(first, Acquire(Request(kTinyModel)));
  hub_.reset();
  ASSERT_OK_AND_ASSIGN(offline, Acquire(Request(kTinyModel)));
  EXPECT_EQ(offline.served_from, AcquiredTree::ServedFrom::kCache);
  EXPECT_EQ(offline.tree, first.tree);
}

TEST_F(TinyModelTest, EvictsWhatNobodyHoldsAndNothingElse) {
  OpenEngine();
  AcquireRequest request = LeasedRequest(kTinyModel, "pod");
  ASSERT_OK_AND_ASSIGN(tree, Acquire(request));
  auto refused = engine_->Evict("", kTinyModel);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
  ASSERT_TRUE(engine_->Release(request.lease_id));
  ASSERT_OK_AND_ASSIGN(evicted, engine_->Evict("", kTinyModel));
  EXPECT_EQ(evicted.snapshots, 1U);
  EXPECT_GE(evicted.bytes, tree.bytes);
  EXPECT_TRUE(engine_->List().empty());
  EXPECT_TRUE(Names("trees/files").empty());
}

TEST_F(TinyModelTest, SaysWhatAReferenceMeansWithoutFetchingIt) {
  AddFile("acme/tiny", "pytorch_model.bin", "duplicate weights");
  hub_->Rescan();
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(before, engine_->Stat(Request(kTinyModel).model, {}));
  EXPECT_EQ(before.bytes_missing, weights_.size() + config_.size());
  EXPECT_EQ(before.recommended_claim, kGiB);
  EXPECT_EQ(before.files.size(), 4U);
  EXPECT_EQ(hub_->Stat("cdn_requests"), 0);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kTinyModel)));
  ASSERT_OK_AND_ASSIGN(after, engine_->Stat(Request(kTinyModel).model, {}));
  EXPECT_EQ(after.bytes_missing, 0U);
  EXPECT_EQ(tree.files, 3U) << "weights are not fetched twice in two formats";
}

TEST_F(TinyModelTest, FindsAFlippedByteAndFetchesTheFileAgain) {
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kTinyModel)));
  FlipFirstByte(tree, "model.safetensors");
  std::vector<VerifyFinding> findings;
  auto note = [&](const VerifyFinding& finding) {
    findings.push_back(finding);
    return true;
  };
  ASSERT_OK_AND_ASSIGN(sums, engine_->Verify({}, {.on_finding = note}, {}));
  EXPECT_EQ(sums.bad, 1U);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].blob, Digest::Of(weights_));
  ASSERT_OK_AND_ASSIGN(again, Acquire(Request(kTinyModel)));
  EXPECT_EQ(Read(again, "model.safetensors"), weights_);
  EXPECT_EQ(again.bytes_fetched, weights_.size());
}

TEST_F(TinyModelTest, LeavesTheLeaseOfAMountedVolumeAloneWhateverItsModelHasBecome) {
  OpenEngine();
  AcquireRequest request = LeasedRequest(kTinyModel, "pod");
  ASSERT_OK_AND_ASSIGN(tree, Acquire(request));
  std::filesystem::path file = FlipFirstByte(tree, "model.safetensors");
  ASSERT_OK_AND_ASSIGN(sums,
                       engine_->Verify({}, {.on_finding = [](const auto&) { return true; }}, {}));
  ASSERT_EQ(sums.bad, 1U);
  hub_->SetFaults(
      R"([{"side":"hub","path":"/api/models","action":{"kind":"status","status":404}}])");

  request.mounted = true;
  ASSERT_OK_AND_ASSIGN(replayed, Acquire(request));
  EXPECT_EQ(replayed.tree, tree.tree);
  EXPECT_EQ(Names("leases"), std::vector<std::string>{request.lease_id});
  EXPECT_TRUE(std::filesystem::exists(file)) << "a pod reads it";
}

TEST_F(TinyModelTest, AsksNoSourceForAMountedVolumeThatHasNoLease) {
  OpenEngine();
  AcquireRequest request = LeasedRequest(kTinyModel, "pod");
  request.mounted = true;
  Result<AcquiredTree> acquired = Acquire(request);
  ASSERT_FALSE(acquired);
  EXPECT_EQ(acquired.error().code, Code::kNotFound);
  EXPECT_TRUE(Names("leases").empty());
}

TEST_F(TinyModelTest, FailureOfAnEarlierAcquireLeavesTheLeaseOfALaterOne) {
  OpenEngine();
  hub_->SetFaults(
      R"([{"side":"hub","path":"/api/models/acme/none","action":{"kind":"delay","seconds":0.4}}])");
  auto earlier = std::make_shared<RecordingObserver>();
  engine_->Acquire(LeasedRequest("hf://acme/none", "pod"), earlier);
  AcquireRequest later = LeasedRequest(kTinyModel, "pod");
  ASSERT_OK_AND_ASSIGN(tree, Acquire(later));
  Result<AcquiredTree> failed = earlier->Wait();
  ASSERT_FALSE(failed);
  EXPECT_FALSE(IsTemporary(failed.error().code)) << failed.error().message;
  EXPECT_EQ(Names("leases"), std::vector<std::string>{later.lease_id});
}

TEST_F(EngineTest, FillsTenThousandFiles) {
  constexpr int kFiles = 10000;
  std::filesystem::path model = directory_ / "many";
  for (int i = 0; i < kFiles; ++i) {
    WriteTestFile(model / std::to_string(i / 100) / std::to_string(i), "file " + std::to_string(i));
  }
  // A disk takes minutes for the syncs of so many files, which are not what is tested.
  constexpr char kMemory[] = "/dev/shm";
  std::optional<TemporaryDirectory> memory;
  if (::access(kMemory, W_OK) == 0) root_ = memory.emplace(kMemory) / "cache";
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request("file://" + model.string())));
  EXPECT_EQ(tree.files, kFiles);
  EXPECT_EQ(Read(tree, "99/9999"), "file 9999");
  EXPECT_TRUE(Names("ingests").empty());
  engine_.reset();
}

TEST_F(TinyModelTest, MakesNoLeaseForAMountThatWentMeanwhile) {
  OpenEngine();
  AcquireRequest request = LeasedRequest(kTinyModel, "pod");
  ASSERT_OK_AND_ASSIGN(tree, Acquire(request));
  auto epoch = std::chrono::system_clock::now();
  ASSERT_TRUE(engine_->Release(request.lease_id));
  ASSERT_OK_AND_ASSIGN(
      outcome,
      engine_->SyncLeases(
          {.epoch = epoch,
           .live = {{.lease_id = request.lease_id, .holder = request.holder, .tree = tree.tree}}}));
  EXPECT_EQ(outcome.recreated, 0U);
  EXPECT_TRUE(Names("leases").empty());
}

TEST_F(TinyModelTest, DropsTheLeasesOfPodsThatAreGoneAndMakesThoseOfMountsAgain) {
  OpenEngine();
  AcquireRequest gone = LeasedRequest(kTinyModel, "gone");
  AcquireRequest waiting = LeasedRequest(kTinyModel, "waiting");
  ASSERT_OK_AND_ASSIGN(tree, Acquire(gone));
  ASSERT_OK_AND_ASSIGN(other, Acquire(waiting));
  AcquireRequest unknown = LeasedRequest(kTinyModel, "unknown");
  auto now = std::chrono::system_clock::now() + std::chrono::seconds(1);
  ASSERT_OK_AND_ASSIGN(
      outcome,
      engine_->SyncLeases(
          {.epoch = now,
           .live = {{.lease_id = unknown.lease_id, .holder = unknown.holder, .tree = tree.tree}},
           .pod_uids = {"uid-waiting", "uid-unknown"}}));
  EXPECT_EQ(outcome.dropped, 1U);
  EXPECT_EQ(outcome.recreated, 1U);
  std::vector<std::string> expected = {waiting.lease_id, unknown.lease_id};
  std::ranges::sort(expected);
  EXPECT_EQ(Names("leases"), expected);
}

}  // namespace
}  // namespace weighhouse
