#include "cache-daemon/engine/source_answers.h"

#include <functional>
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
  void ReadLayers(fill::LayerRequest, std::weak_ptr<fill::FillObserver>,
                  fill::LayersDone) override {}
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
    rights_ = std::make_unique<Rights>(*store_, clock_, RightsOptions());
    Make(SourceAnswers::kMostBytes);
  }
  ~SourceAnswersTest() override { pool_.Stop(); }

  void Make(Bytes most_bytes) { Make(pool_, most_bytes); }
  void Make(FairPool& pool, Bytes most_bytes) {
    EngineParts parts{*store_, *sources_, filler_,  workers_, pool,     *leases_,
                      waits_,  board_,    *rights_, clock_,   metrics_, {}};
    answers_ = std::make_shared<SourceAnswers>(parts, pool, most_bytes);
  }
  static SourceAnswers::Asker InAHurry(const std::string& party = kParty) {
    return {.party = party, .deadline = std::chrono::steady_clock::now()};
  }
  ModelReference Model(const std::string& name, int files) {
    for (int i = 0; i < files; ++i) WriteTestFile(models_ / name / std::to_string(i), "x");
    return ModelReference::Parse("file://" + (models_ / name).string()).value();
  }
  /// Asks while the asker is held up, so that nothing but what is owed already is an answer, and
  /// then lets it have done all that it was asked.
  std::optional<Result<Resolved>> AskHeldUp(
      const ModelReference& model, const std::function<void()>& meanwhile = [] {}) {
    std::promise<void> go_on;
    pool_.Post(kParty, [&] { go_on.get_future().wait(); });
    auto owed = answers_->Ask(model, {}, InAHurry());
    meanwhile();
    go_on.set_value();
    std::promise<void> idle;
    pool_.Post(kParty, [&] { idle.set_value(); });
    idle.get_future().wait();
    return owed;
  }

  TemporaryDirectory models_;
  NoFiller filler_;
  PublishWaits waits_;
  PublishBoard board_{clock_};
  metrics::AcquireMetrics metrics_;
  std::unique_ptr<source::SourceRegistry> sources_;
  std::unique_ptr<LeaseGate> leases_;
  std::unique_ptr<Rights> rights_;
  static constexpr const char* kParty = "team-a";
  WorkerPool workers_{"worker", 1};
  FairPool pool_{"asker", {.threads = 1}};
  std::shared_ptr<SourceAnswers> answers_;
};

TEST_F(SourceAnswersTest, WhatWasSaidAndIsOwedCountsOnce) {
  ModelReference model = Model("model", 3);
  EXPECT_FALSE(AskHeldUp(model)) << "it is owed from now on";
  Bytes bytes = answers_->Size();
  EXPECT_GE(bytes, 3 * sizeof(ListedFile));
  std::optional<Result<Resolved>> owed = AskHeldUp(model);
  ASSERT_TRUE(owed && *owed);
  EXPECT_EQ((*owed)->listing.files.size(), 3u);
  EXPECT_EQ(answers_->Size(), bytes) << "it is what was said last still";
}

TEST_F(SourceAnswersTest, WhatIsOwedIsSoForAMinute) {
  ModelReference model = Model("model", 3);
  EXPECT_FALSE(AskHeldUp(model));
  clock_.Advance(30s);
  EXPECT_TRUE(AskHeldUp(model));
  EXPECT_FALSE(AskHeldUp(model)) << "it was fetched";
  clock_.Advance(61s);
  EXPECT_FALSE(AskHeldUp(model)) << "it is too old";
  EXPECT_TRUE(AskHeldUp(model)) << "there is a newer one";
}

TEST_F(SourceAnswersTest, CountsWhatFilesAreCalled) {
  WriteTestFile(models_ / "model" / std::string(200, 'n'), "x");
  AskHeldUp(Model("model", 0));
  EXPECT_GE(answers_->Size(), 200 + sizeof(ListedFile));
}

TEST_F(SourceAnswersTest, AnAnswerThatIsOwedIsKeptBeforeOlderOnes) {
  ModelReference model = Model("model", 3);
  ModelReference other = Model("other", 3);
  AskHeldUp(other);
  Bytes bytes = answers_->Size();
  Make(bytes * 3 / 2);  // one of both
  AskHeldUp(other);
  EXPECT_FALSE(AskHeldUp(model, [&] { answers_->Refresh(other); })) << "the other was used since";
  EXPECT_TRUE(AskHeldUp(model));
  EXPECT_LE(answers_->Size(), bytes * 3 / 2);
}

TEST_F(SourceAnswersTest, WhoWantsWhatAnotherPartyWaitsForWaitsForItsOwnTurnOnly) {
  ModelReference model = Model("model", 3);
  std::promise<void> go_on;
  FairPool pool("asker", {.threads = 2});
  Make(pool, SourceAnswers::kMostBytes);
  pool.Post(kParty, [held = go_on.get_future().share()] { held.wait(); });
  EXPECT_FALSE(answers_->Ask(model, {}, InAHurry()))
      << "it waits behind what the party asked first";
  auto said = answers_->Ask(
      model, {},
      {.party = "team-b", .deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30)});
  go_on.set_value();
  ASSERT_TRUE(said);
  EXPECT_TRUE(*said);
  pool.Stop();
}

}  // namespace
}  // namespace weighhouse
