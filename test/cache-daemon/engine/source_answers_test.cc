#include "cache-daemon/engine/source_answers.h"

#include <future>
#include <thread>

#include <gtest/gtest.h>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse {
namespace {

using namespace std::chrono_literals;

class NoFiller final : public fill::Filler {
 public:
  void Fill(fill::FillRequest, std::weak_ptr<fill::FillObserver>) override {}
  void Reconfigure(const fill::FillerOptions&) override {}
  Activity CurrentActivity() const override { return {}; }
  std::optional<fill::FillProgress> ProgressOf(const std::string&) const override { return {}; }
};

/// Models are directories, on time that the test moves, and the one thread that asks is held up.
class SourceAnswersTest : public store::StoreTest {
 protected:
  SourceAnswersTest() {
    Open();
    sources_ = source::SourceRegistry::Create({.local_roots = {models_.path().string()}}).value();
    leases_ = std::make_unique<LeaseGate>(*store_, clock_);
    answers_ = std::make_shared<SourceAnswers>(
        EngineParts{
            *store_, *sources_, filler_, pool_, pool_, *leases_, waits_, clock_, metrics_, {}},
        pool_);
  }
  ~SourceAnswersTest() override { pool_.Stop(); }

  ModelReference Model(const std::string& name, int files) {
    for (int i = 0; i < files; ++i) WriteTestFile(models_ / name / std::to_string(i), "x");
    return ModelReference::Parse("file://" + (models_ / name).string()).value();
  }
  /// Somebody asks, waits in vain, and is owed what comes of it.
  void AskInVain(const ModelReference& model) {
    std::promise<void> go_on;
    pool_.Post([&] { go_on.get_future().wait(); });
    EXPECT_FALSE(answers_->Ask(model, {}, std::chrono::steady_clock::now()));
    go_on.set_value();
    std::promise<void> idle;
    pool_.Post([&] { idle.set_value(); });
    idle.get_future().wait();
  }

  TemporaryDirectory models_;
  NoFiller filler_;
  PublishWaits waits_;
  metrics::AcquireMetrics metrics_;
  std::unique_ptr<source::SourceRegistry> sources_;
  std::unique_ptr<LeaseGate> leases_;
  WorkerPool pool_{"asker", 1};
  std::shared_ptr<SourceAnswers> answers_;
};

TEST_F(SourceAnswersTest, WhatIsOwedCountsUntilItIsFetched) {
  ModelReference model = Model("model", 3);
  AskInVain(model);
  EXPECT_EQ(answers_->Files(), 6u) << "said, and owed";
  std::optional<Result<Resolved>> owed = answers_->Ask(model, {}, std::chrono::steady_clock::now());
  ASSERT_TRUE(owed && *owed);
  EXPECT_EQ((*owed)->listing.files.size(), 3u);
  EXPECT_EQ(answers_->Files(), 3u);
}

TEST_F(SourceAnswersTest, WhatIsOwedGoesAfterAMinute) {
  ModelReference model = Model("model", 3);
  AskInVain(model);
  clock_.Advance(30s);
  AskInVain(Model("other", 2));
  EXPECT_EQ(answers_->Files(), 10u);
  clock_.Advance(31s);
  answers_->Refresh(model);  // whoever comes next, and asks nothing
  EXPECT_EQ(answers_->Files(), 7u) << "the other is owed still";
  clock_.Advance(60s);
  answers_->Refresh(model);
  EXPECT_EQ(answers_->Files(), 5u);
}

}  // namespace
}  // namespace weighhouse
