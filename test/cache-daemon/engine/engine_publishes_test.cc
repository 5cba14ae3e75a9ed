#include <ranges>
#include <string_view>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/log_limits.h"
#include "test/cache-daemon/engine/engine_fixture.h"
#include "test/support/captured_log.h"

namespace weighhouse {
namespace {

constexpr char kWatchedModel[] = "hf://acme/watched";

/// What real Acquires in a real engine show of themselves.
class EnginePublishesTest : public EngineTest {
 protected:
  EnginePublishesTest() {
    AddFile("acme/watched", "model.safetensors", PatternBytes(kSize, 1));
    AddFile("acme/gated", "model.safetensors", "weights");
    AddFile("acme/gated", ".fixture.json", R"({"gated": true})");
    StartHub();
    OpenEngine();
  }
  void DelayFiles() {
    hub_->SetFaults(
        R"([{"side":"cdn","path":"","times":1,"action":{"kind":"delay","seconds":0.3}}])");
  }
  /// The only publish there is.
  PublishView Only() {
    std::vector<PublishView> publishes = engine_->Publishes();
    EXPECT_EQ(publishes.size(), 1u);
    return publishes.empty() ? PublishView() : publishes.front();
  }
  template <class State>
  bool Is() {
    return std::holds_alternative<State>(Only().state);
  }

  static size_t LinesWith(std::string_view text, std::string_view words) {
    size_t lines = 0;
    for (const auto line : std::views::split(text, '\n')) {
      lines += std::string_view(line).contains(words) ? 1 : 0;
    }
    return lines;
  }

  static constexpr Bytes kSize = 3 * kMiB;
};

TEST_F(EnginePublishesTest, AColdPublishFillsAndIsReadyAndAWarmOneIsReady) {
  DelayFiles();
  auto before = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  auto observer = std::make_shared<RecordingObserver>();
  engine_->Acquire(LeasedRequest(kWatchedModel, "cold"), observer);
  EXPECT_EQ(Only().lease_id, LeasedRequest(kWatchedModel, "cold").lease_id);
  observer->WaitForFilling();
  EXPECT_TRUE(Becomes([this] {
    PublishView now = Only();  // at first it waits for its room
    const auto* filling = std::get_if<PublishView::Filling>(&now.state);
    return filling != nullptr && filling->progress.bytes_total == kSize;
  }));
  ASSERT_OK_AND_ASSIGN(tree, observer->Wait());
  PublishView publish = Only();
  EXPECT_EQ(publish.model, LeasedRequest(kWatchedModel, "cold").model.ToString());
  EXPECT_EQ(publish.holder.pod_namespace, "default");
  EXPECT_EQ(publish.holder.pod_name, "cold");
  EXPECT_EQ(publish.holder.pod_uid, "uid-cold");
  EXPECT_GE(publish.since, before);
  ASSERT_TRUE(std::holds_alternative<PublishView::Ready>(publish.state));
  auto ready = std::get<PublishView::Ready>(publish.state);
  EXPECT_TRUE(ready.cold);
  EXPECT_EQ(ready.bytes, kSize);
  EXPECT_GE(ready.took, std::chrono::milliseconds(300));

  ASSERT_OK_AND_ASSIGN(warm, Acquire(LeasedRequest(kWatchedModel, "warm")));
  ASSERT_EQ(engine_->Publishes().size(), 2u);
  publish = engine_->Publishes()[1];
  EXPECT_EQ(publish.holder.pod_name, "warm");
  ASSERT_TRUE(std::holds_alternative<PublishView::Ready>(publish.state));
  EXPECT_FALSE(std::get<PublishView::Ready>(publish.state).cold);
}

TEST_F(EnginePublishesTest, APublishThatComesBackIsOneThatWaits) {
  DelayFiles();
  auto impatient = std::make_shared<RecordingObserver>();
  engine_->Acquire(LeasedRequest(kWatchedModel, "pod"), impatient);
  impatient->WaitForFilling();
  impatient.reset();
  EXPECT_TRUE(Is<PublishView::Filling>()) << "the fill goes on";
  ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(kWatchedModel, "pod")));
  ASSERT_TRUE(Is<PublishView::Ready>());
  EXPECT_TRUE(std::get<PublishView::Ready>(Only().state).cold);
  EXPECT_GE(std::get<PublishView::Ready>(Only().state).took, std::chrono::milliseconds(300))
      << "it waits since its first Acquire";
}

TEST_F(EnginePublishesTest, PublishesThatKeepFailingCostABoundedNumberOfLines) {
  engine_.reset();
  CapturedLog log;
  OpenEngine();
  hub_->SetFaults(R"([{"side":"cdn","path":"","action":{"kind":"status","status":404}}])");
  constexpr size_t kTries = 40;
  for (size_t i = 0; i < kTries; ++i) {
    ASSERT_FALSE(Acquire(LeasedRequest(kWatchedModel, fmt::format("pod-{}", i))));
    ASSERT_FALSE(Acquire(LeasedRequest("hf://acme/absent", "pod")));
  }
  engine_.reset();  // nobody logs any more
  EXPECT_EQ(LinesWith(log.text(), " to fetch "), 1 + LogLimits::kRepeated) << log.text();
  EXPECT_EQ(LinesWith(log.text(), ": ended: "), LogLimits::kRepeated);
  size_t written = LinesWith(log.text(), " info ") + LinesWith(log.text(), " warning ") +
                   LinesWith(log.text(), " error ");
  EXPECT_LT(written, 8 * LogLimits::kRepeated) << log.text();
}

TEST_F(EnginePublishesTest, ARefusalSaysWhatTheCallerHears) {
  AcquireRequest request = LeasedRequest("hf://acme/gated", "pod");
  Result<AcquiredTree> outcome = Acquire(request);
  ASSERT_FALSE(outcome);
  ASSERT_TRUE(engine_->Release(request.lease_id)) << "the plugin does";
  ASSERT_TRUE(Is<PublishView::Refused>());
  Error refusal = std::get<PublishView::Refused>(Only().state).error;
  EXPECT_EQ(refusal.code, outcome.error().code);
  EXPECT_EQ(refusal.message, outcome.error().message);
  EXPECT_THAT(refusal.message, ::testing::HasSubstr("acme/gated"));
}

TEST_F(EnginePublishesTest, WhatIsReleasedIsShownNoMore) {
  AcquireRequest request = LeasedRequest(kWatchedModel, "pod");
  ASSERT_OK_AND_ASSIGN(tree, Acquire(request));
  ASSERT_EQ(engine_->Publishes().size(), 1u);
  ASSERT_TRUE(engine_->Release(request.lease_id));
  EXPECT_TRUE(engine_->Publishes().empty());
}

TEST_F(EnginePublishesTest, APullIsNoPublishAndNeitherIsTheReplayOfAMountedVolume) {
  AcquireRequest request = LeasedRequest(kWatchedModel, "pod");
  ASSERT_OK_AND_ASSIGN(pulled, Acquire(Request(kWatchedModel)));
  EXPECT_TRUE(engine_->Publishes().empty());
  ASSERT_OK_AND_ASSIGN(published, Acquire(request));
  OpenEngine();  // which knows of the lease, and of no publish
  request.mounted = true;
  ASSERT_OK_AND_ASSIGN(replayed, Acquire(request));
  EXPECT_TRUE(engine_->Publishes().empty());
}

}  // namespace
}  // namespace weighhouse
