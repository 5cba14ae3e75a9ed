// fill.bandwidthLimit: one rate for the whole engine.

#include <algorithm>
#include <chrono>
#include <memory>

#include "test/cache-daemon/engine/engine_fixture.h"
#include "test/cache-daemon/engine/paced_server.h"

namespace weighhouse {
namespace {

/// Waits for so much of a fill.
class ArrivalObserver final : public AcquireObserver {
 public:
  void OnResolving() override {}
  void OnFilling(const std::string&, const std::string&,
                 const fill::FillProgress& progress) override {
    Arrived(progress.bytes_done);
  }
  void OnDone(const Result<AcquiredTree>& outcome) override {
    if (outcome) return Arrived(outcome->bytes);
    ADD_FAILURE() << outcome.error().message;
  }
  /// False if it hadn't arrived within three minutes.
  bool WaitFor(Bytes bytes) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(3);
    MutexLock lock(mutex_);
    while (arrived_ < bytes) {
      if (!changed_.WaitUntil(lock, deadline)) return false;
    }
    return true;
  }

 private:
  void Arrived(Bytes bytes) {
    MutexLock lock(mutex_);
    arrived_ = std::max(arrived_, bytes);
    changed_.NotifyAll();
  }

  Mutex mutex_;
  ConditionVariable changed_;
  Bytes arrived_ GUARDED_BY(mutex_) = 0;
};

class EngineBandwidthTest : public EngineTest {
 protected:
  void OpenWithLimit(Bytes bytes_per_second) {
    EngineOptions options = Options();
    options.fill.bandwidth_limit = bytes_per_second;
    OpenEngine(options);
  }
  /// What arrived of the model so far.
  Bytes DoneOf(const std::string& snapshot_id) {
    for (const SnapshotView& view : engine_->List()) {
      if (view.snapshot.id == snapshot_id && view.filling) return view.filling->bytes_done;
    }
    return 0;
  }
};

TEST_F(EngineBandwidthTest, HoldsTheRate) {
  constexpr Bytes kRate = 12 * kMiB;
  OpenWithLimit(kRate);
  std::string content = PatternBytes(4 * kRate, 21);
  PacedServer server(content, [](int) { return kAsFastAsItCan; });
  auto begun = std::chrono::steady_clock::now();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(server.Url("model.bin"))));
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  EXPECT_EQ(Digest::Of(Read(tree, "model.bin")), Digest::Of(content));
  double rate = static_cast<double>(content.size()) / took.count();
  EXPECT_NEAR(rate / kRate, 1, 0.1);
  EXPECT_LE(server.fetching(), 8) << "what waits for us is neither hedged nor given more company";
}

TEST_F(EngineBandwidthTest, HoldsARateThatConnectionsWaitLongerForThanTheStallTimeout) {
  constexpr Bytes kRate = 64 * kKiB;
  EngineOptions options = Options();
  options.fill.bandwidth_limit = kRate;
  options.transport.stall_timeout = std::chrono::milliseconds(300);
  OpenEngine(options);
  std::string content = PatternBytes(3 * kRate, 22);
  PacedServer server(content, [](int) { return kAsFastAsItCan; });
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(server.Url("model.bin"))));
  EXPECT_EQ(tree.bytes_fetched, content.size()) << "nothing was given up and fetched again";
  EXPECT_EQ(server.fetching(), 1);
}

TEST_F(EngineBandwidthTest, GivesAFillThatIsWaitedForTheLargerPart) {
  constexpr Bytes kRate = 16 * kMiB;
  OpenWithLimit(kRate);
  PacedServer one(PatternBytes(64 * kMiB, 23), [](int) { return kAsFastAsItCan; });
  PacedServer other(PatternBytes(32 * kMiB, 24), [](int) { return kAsFastAsItCan; });
  Result<std::string> prefetched = engine_->Prefetch(Request(one.Url("prefetched.bin")).model, {});
  ASSERT_TRUE(prefetched) << prefetched.error().message;
  auto waited = std::make_shared<ArrivalObserver>();
  engine_->Acquire(Request(other.Url("waited.bin")), waited);
  // Before and after, the prefetch has the whole rate.
  ASSERT_TRUE(waited->WaitFor(1));
  Bytes before = DoneOf(*prefetched);
  ASSERT_TRUE(waited->WaitFor(32 * kMiB));
  Bytes done = DoneOf(*prefetched) - before;
  EXPECT_LT(done, 16 * kMiB) << "an equal share would be 32 MiB";
  EXPECT_GT(done, 0U) << "it doesn't starve";
}

}  // namespace
}  // namespace weighhouse
