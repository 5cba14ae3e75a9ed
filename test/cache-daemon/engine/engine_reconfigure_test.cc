// What can change while the engine runs.

#include <chrono>

#include "test/cache-daemon/engine/engine_fixture.h"
#include "test/cache-daemon/engine/paced_server.h"

namespace weighhouse {
namespace {

class EngineReconfigureTest : public EngineTest {
 protected:
  /// A model of this machine.
  AcquireRequest Local(const std::string& name, size_t size, const std::string& lease = "") {
    WriteTestFile(directory_ / ("local/" + name), PatternBytes(size, size));
    std::string uri = "file://" + (directory_ / ("local/" + name)).string();
    return lease.empty() ? Request(uri) : LeasedRequest(uri, lease);
  }
};

TEST_F(EngineReconfigureTest, AFillGoesOnAtTheNewBandwidthLimit) {
  EngineOptions options = Options();
  options.fill.bandwidth_limit = 64 * kKiB;
  OpenEngine(options);
  PacedServer server(PatternBytes(16 * kMiB, 41), [](int) { return kAsFastAsItCan; });
  auto observer = std::make_shared<RecordingObserver>();
  engine_->Acquire(Request(server.Url("model.bin")), observer);
  observer->WaitForFilling();
  options.fill.bandwidth_limit = 0;
  auto changed = std::chrono::steady_clock::now();
  ASSERT_TRUE(engine_->Reconfigure(options));
  ASSERT_OK_AND_ASSIGN(tree, observer->Wait());
  EXPECT_LT(std::chrono::steady_clock::now() - changed, std::chrono::seconds(60))
      << "at the old limit it takes four minutes";
}

TEST_F(EngineReconfigureTest, ASmallerLimitEvictsWhatIsIdleAndNeverWhatIsLeased) {
  EngineOptions options = Options();
  options.store.limit = 64 * kMiB;
  options.store.min_free = 0;
  OpenEngine(options);
  ASSERT_OK_AND_ASSIGN(leased, Acquire(Local("leased", 10 * kMiB, "pod")));
  ASSERT_OK_AND_ASSIGN(idle, Acquire(Local("idle", 9 * kMiB)));
  options.store.limit = 12 * kMiB;
  ASSERT_TRUE(engine_->Reconfigure(options));
  ASSERT_OK_AND_ASSIGN(fit, engine_->EvictToFit(store::FitTo::kLimit));
  EXPECT_EQ(fit.snapshots, 1u);
  EXPECT_EQ(fit.excess, 0u);
  ASSERT_EQ(engine_->List().size(), 1u);
  EXPECT_EQ(engine_->List()[0].snapshot.id, leased.snapshot_id);
  EXPECT_EQ(Acquire(Local("third", 8 * kMiB)).error().code, Code::kResourceExhausted);
  options.store.limit = 64 * kMiB;
  ASSERT_TRUE(engine_->Reconfigure(options));
  EXPECT_TRUE(Acquire(Local("third", 8 * kMiB)));
}

TEST_F(EngineReconfigureTest, LocalModelsAreAllowedAndForbidden) {
  EngineOptions options = Options();
  OpenEngine(options);
  AcquireRequest request = Local("model", kMiB);
  options.local_roots = {};
  ASSERT_TRUE(engine_->Reconfigure(options));
  EXPECT_EQ(Acquire(request).error().code, Code::kPermissionDenied);
  options.local_roots = Options().local_roots;
  ASSERT_TRUE(engine_->Reconfigure(options));
  EXPECT_TRUE(Acquire(request));
}

TEST_F(EngineReconfigureTest, WhatIsNoLongerAllowedIsRefusedThoughItIsHere) {
  EngineOptions options = Options();
  OpenEngine(options);
  AcquireRequest request = Local("model", kMiB);
  ASSERT_TRUE(Acquire(request));
  options.allow = {"hf://*"};
  ASSERT_TRUE(engine_->Reconfigure(options));
  EXPECT_EQ(Acquire(request).error().code, Code::kPermissionDenied);
  options.allow = {"file://*"};
  ASSERT_TRUE(engine_->Reconfigure(options));
  EXPECT_TRUE(Acquire(request));
}

TEST_F(EngineReconfigureTest, WarmingBeginsAndEndsWithFillsUnderWay) {
  EngineOptions options = Options();
  OpenEngine(options);
  PacedServer server(PatternBytes(8 * kMiB, 42), [](int) { return 20.0 * kMiB; });
  auto observer = std::make_shared<RecordingObserver>();
  engine_->Acquire(Request(server.Url("model.bin")), observer);
  for (bool warm : {true, false, true, true, false}) {
    options.fill.warm = warm;
    options.fill.connections = warm ? 2 : 64;
    options.fill.connections_per_host = warm ? 1 : 32;
    ASSERT_TRUE(engine_->Reconfigure(options));
  }
  EXPECT_TRUE(observer->Wait());
}

}  // namespace
}  // namespace weighhouse
