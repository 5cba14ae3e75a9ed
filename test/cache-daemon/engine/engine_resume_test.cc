#include <algorithm>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>

#include "test/cache-daemon/engine/engine_fixture.h"

namespace weighhouse {
namespace {

constexpr char kResumeModel[] = "hf://acme/large";
constexpr Bytes kResumedSize = 48 * kMiB + 77;
constexpr char kSlow[] =
    R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"rate","bytes_per_second":1000000}}])";

/// Waits until some of the model's bytes, but not all, are there.
class HalfWayObserver final : public AcquireObserver {
 public:
  void OnResolving() override {}
  void OnFilling(const std::string&, const std::string&,
                 const fill::FillProgress& progress) override {
    MutexLock lock(mutex_);
    done_ = std::max(done_, progress.bytes_done);
    changed_.NotifyAll();
  }
  void OnDone(const Result<AcquiredTree>&) override {}
  void Wait() {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    MutexLock lock(mutex_);
    while (done_ < kResumedSize / 3) {
      if (!changed_.WaitUntil(lock, deadline)) break;
    }
    EXPECT_GE(done_, kResumedSize / 3);
    EXPECT_LT(done_, kResumedSize);
  }

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  Bytes done_ GUARDED_BY(mutex_) = 0;
};

class EngineResumeTest : public EngineTest {
 protected:
  EngineResumeTest() : content_(PatternBytes(kResumedSize, 21)) {
    AddFile("acme/large", "model.safetensors", content_);
    StartHub({"--token", "hf_token"});
  }
  /// Begins to fill the model, and ends the engine in the middle of its file.
  void InterruptFill(const std::string& token = "") {
    hub_->SetFaults(kSlow);
    OpenEngine();
    auto half_way = std::make_shared<HalfWayObserver>();
    engine_->Acquire(Request(kResumeModel, token), half_way);
    half_way->Wait();
    engine_.reset();
    hub_->ClearFaults();
    ASSERT_EQ(Names("ingests").size(), 1U);
  }
  void OpenResuming() {
    EngineOptions options = Options();
    options.resume_fills = true;
    OpenEngine(options);
  }
  /// Waits, at most a minute, until the cache's only snapshot is complete.
  bool BecomesComplete() {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (std::chrono::steady_clock::now() < deadline) {
      std::vector<SnapshotView> views = engine_->List();
      if (views.size() == 1 && views[0].snapshot.complete) return true;
      std::this_thread::yield();
    }
    return false;
  }

  std::string content_;
};

TEST_F(EngineResumeTest, FetchesOnlyWhatLacks) {
  InterruptFill();
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kResumeModel)));
  EXPECT_EQ(Digest::Of(Read(tree, "model.safetensors")), Digest::Of(content_));
  EXPECT_LT(tree.bytes_fetched, kResumedSize);
  EXPECT_GT(tree.bytes_fetched, 0U);
  EXPECT_TRUE(Names("ingests").empty());
}

TEST_F(EngineResumeTest, ChangedUpstreamMeetsNoneOfTheOldBytes) {
  InterruptFill();
  std::string changed = PatternBytes(kResumedSize, 22);
  std::filesystem::remove(models_ / "acme/large/model.safetensors");
  AddFile("acme/large", "model.safetensors", changed);
  hub_->Rescan();
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kResumeModel)));
  EXPECT_EQ(Digest::Of(Read(tree, "model.safetensors")), Digest::Of(changed));
  EXPECT_EQ(tree.bytes_fetched, kResumedSize);
}

TEST_F(EngineResumeTest, PublicModelGoesOnByItself) {
  InterruptFill();
  OpenResuming();
  EXPECT_TRUE(BecomesComplete());
  EXPECT_LT(engine_->Info()->bytes_fetched, kResumedSize);
}

TEST_F(EngineResumeTest, PublicModelGoesOnOnceItsSourceIsBack) {
  InterruptFill();
  hub_->SetFaults(
      R"([{"side":"hub","path":"","times":1,"action":{"kind":"status","status":503,"headers":{},"body":""}}])");
  OpenResuming();
  EXPECT_TRUE(BecomesComplete());
}

TEST_F(EngineResumeTest, PrivateModelWaitsForItsNextPublish) {
  AddFile("acme/large", ".fixture.json", R"({"private": true})");
  hub_->Rescan();
  InterruptFill("hf_token");
  hub_->Reset();
  OpenResuming();
  // A second, public model's fill is asked for later, and so shows that the first was passed over.
  AddFile("acme/other", "config.json", "{}");
  hub_->Rescan();
  ASSERT_OK_AND_ASSIGN(other, Acquire(Request("hf://acme/other")));
  for (const SnapshotView& view : engine_->List()) {
    EXPECT_EQ(view.snapshot.complete, view.snapshot.id == other.snapshot_id);
    EXPECT_FALSE(view.filling);
  }
  EXPECT_THAT(hub_->Log(), ::testing::Not(::testing::HasSubstr("acme/large")));
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kResumeModel, "hf_token")));
  EXPECT_LT(tree.bytes_fetched, kResumedSize) << "its bytes waited for it";
}

TEST_F(EngineResumeTest, ModelThatIsPublicNoMoreIsLeftAlone) {
  InterruptFill();
  AddFile("acme/large", ".fixture.json", R"({"private": true})");
  hub_->Rescan();
  hub_->Reset();
  OpenResuming();
  AddFile("acme/other", "config.json", "{}");
  hub_->Rescan();
  ASSERT_OK_AND_ASSIGN(other, Acquire(Request("hf://acme/other")));
  EXPECT_EQ(engine_->List().size(), 2U);
  EXPECT_THAT(hub_->Log(), ::testing::Not(::testing::HasSubstr("large/resolve")));
}

}  // namespace
}  // namespace weighhouse
