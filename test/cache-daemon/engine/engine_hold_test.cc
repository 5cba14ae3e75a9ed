#include "cache-daemon/engine/holds.h"
#include "test/cache-daemon/engine/engine_fixture.h"

namespace weighhouse {
namespace {

constexpr const char* kModel = "hf://org/model";

class EngineHoldTest : public EngineTest {
 protected:
  void Start(Bytes limit = 0) {
    AddFile("org/model", "model.bin", std::string(kMiB, 'm'));
    AddFile("org/other", "other.bin", std::string(kMiB, 'o'));
    StartHub();
    EngineOptions options = Options();
    options.store.limit = limit;
    OpenEngine(options);
  }
  static HoldRequest Of(const std::string& volume, const std::string& model, Bytes bytes = 0) {
    HoldRequest request{.volume_id = volume, .bytes = bytes};
    if (!model.empty()) request.model = ModelReference::Parse(model).value();
    return request;
  }
  size_t HoldCount() { return engine_->Info()->holds.size(); }
};

TEST_F(EngineHoldTest, EndsAtTheFirstPublishOfItsVolume) {
  Start(kMiB + 64 * kKiB);
  AcquireRequest publish = LeasedRequest(kModel, "pod");
  ASSERT_OK_AND_ASSIGN(held, engine_->Hold(Of(publish.holder.volume_id, kModel)));
  EXPECT_EQ(held.hold.bytes, kMiB);
  EXPECT_EQ(held.revision.size(), 40u);
  EXPECT_EQ(Acquire(Request("hf://org/other")).error().code, Code::kResourceExhausted);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(publish));
  EXPECT_EQ(HoldCount(), 0u);
  EXPECT_EQ(engine_->Capacity()->reserved, 0u);
  EXPECT_EQ(Acquire(Request("hf://org/other")).error().code, Code::kResourceExhausted)
      << "the lease keeps it now";
}

TEST_F(EngineHoldTest, OfBytesGivesThemToItsVolumesPublish) {
  Start(kMiB + 64 * kKiB);
  AcquireRequest publish = LeasedRequest(kModel, "pod");
  ASSERT_OK_AND_ASSIGN(held, engine_->Hold(Of(publish.holder.volume_id, "", kMiB)));
  EXPECT_EQ(Acquire(LeasedRequest("hf://org/other", "another")).error().code,
            Code::kResourceExhausted);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(publish));
  EXPECT_EQ(HoldCount(), 0u);
}

TEST_F(EngineHoldTest, RefusedLeavesNothing) {
  Start(kMiB + 64 * kKiB);
  ASSERT_OK_AND_ASSIGN(held, engine_->Hold(Of("first", kModel)));
  Result<HeldRoom> refused = engine_->Hold(Of("second", "hf://org/other"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(Names("snapshots").size(), 1u);
  EXPECT_EQ(Names("holds").size(), 1u);
  EXPECT_EQ(engine_->Hold(Of("third", "", kGiB)).error().code, Code::kOutOfRange);
}

TEST_F(EngineHoldTest, TheSameAgainAsksNobodyAndOthersAreRefused) {
  Start();
  ASSERT_OK_AND_ASSIGN(first, engine_->Hold(Of("volume", kModel)));
  hub_.reset();
  ASSERT_OK_AND_ASSIGN(again, engine_->Hold(Of("volume", kModel)));
  EXPECT_EQ(again.hold.snapshot_id, first.hold.snapshot_id);
  EXPECT_EQ(again.revision, first.revision);
  EXPECT_EQ(engine_->Hold(Of("volume", "hf://org/other")).error().code, Code::kAlreadyExists);
  ASSERT_TRUE(engine_->Unhold("volume"));
  ASSERT_TRUE(engine_->Unhold("volume")) << "as often as asked";
  EXPECT_EQ(HoldCount(), 0u);
}

TEST_F(EngineHoldTest, WhatTheCallerMayNotSeeIsHeldAsBytes) {
  Start();
  EXPECT_EQ(engine_->Hold(Of("volume", "hf://org/absent")).error().code, Code::kUnauthenticated);
  ASSERT_OK_AND_ASSIGN(held, engine_->Hold(Of("volume", "hf://org/absent", kMiB)));
  EXPECT_TRUE(held.hold.snapshot_id.empty());
  EXPECT_EQ(engine_->Capacity()->for_holds, kMiB);
}

TEST_F(EngineHoldTest, EndsByItselfWhereNobodyComesAlsoOneOfBeforeTheStart) {
  Start();
  EngineOptions options = Options();
  options.hold_timeout = std::chrono::seconds(1);
  ASSERT_TRUE(engine_->Reconfigure(options));
  ASSERT_OK_AND_ASSIGN(before, engine_->Hold(Of("before", "", kMiB)));
  engine_.reset();
  OpenEngine(options);
  ASSERT_OK_AND_ASSIGN(now, engine_->Hold(Of("now", "", kMiB)));
  auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (HoldCount() > 0 && std::chrono::steady_clock::now() < deadline) {
    ASSERT_TRUE(engine_->CheckAnswers(std::chrono::seconds(30)));
  }
  EXPECT_EQ(HoldCount(), 0u);
  EXPECT_EQ(engine_->Capacity()->reserved, 0u);
}

TEST_F(EngineHoldTest, WithoutAFillFetchesNothingAtTheNextStartAndTakesNothingFromPods) {
  Start();
  ASSERT_OK_AND_ASSIGN(before, Acquire(Request(kModel)));
  AddFile("org/model", "more.bin", std::string(kMiB, 'n'));
  hub_->Rescan();
  ASSERT_OK_AND_ASSIGN(held, engine_->Hold(Of("volume", kModel)));
  ASSERT_NE(held.hold.snapshot_id, before.snapshot_id);
  EngineOptions options = Options();
  options.resume_fills = true;
  engine_.reset();
  OpenEngine(options);
  ASSERT_TRUE(engine_->CheckAnswers(std::chrono::seconds(30)));
  EXPECT_EQ(engine_->Info()->fills_active + engine_->Info()->bytes_fetched, 0u);
  hub_.reset();
  ASSERT_OK_AND_ASSIGN(after, Acquire(Request(kModel)));
  EXPECT_EQ(after.snapshot_id, before.snapshot_id);
}

TEST_F(EngineHoldTest, OutlivesTheEngine) {
  Start();
  ASSERT_OK_AND_ASSIGN(held, engine_->Hold(Of("volume", kModel)));
  engine_.reset();
  OpenEngine();
  EXPECT_EQ(HoldCount(), 1u);
  EXPECT_EQ(engine_->Capacity()->for_holds, kMiB);
}

}  // namespace
}  // namespace weighhouse
