#include <algorithm>
#include <chrono>
#include <memory>

#include "test/cache-daemon/engine/engine_fixture.h"
#include "test/cache-daemon/engine/paced_server.h"

namespace weighhouse {
namespace {

/// Waits until a fill has as many connections as it should.
class ConnectionsObserver final : public AcquireObserver {
 public:
  void OnResolving() override {}
  void OnFilling(const std::string&, const std::string&,
                 const fill::FillProgress& progress) override {
    MutexLock lock(mutex_);
    most_ = std::max(most_, progress.connections);
    changed_.NotifyAll();
  }
  void OnDone(const Result<AcquiredTree>&) override {
    MutexLock lock(mutex_);
    done_ = true;
    changed_.NotifyAll();
  }
  /// False if the fill ended, or a minute passed, before it had `count` at the same moment.
  bool WaitFor(size_t count) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    MutexLock lock(mutex_);
    while (most_ < count && !done_) {
      if (!changed_.WaitUntil(lock, deadline)) break;
    }
    return most_ >= count;
  }

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  size_t most_ GUARDED_BY(mutex_) = 0;
  bool done_ GUARDED_BY(mutex_) = false;
};

class EnginePaceTest : public EngineTest {
 protected:
  /// How long it takes to fill `content` from a server with that pace.
  std::chrono::duration<double> TimeToFill(const std::string& name, const std::string& content,
                                           PacedServer::Pace pace) {
    PacedServer server(content, std::move(pace));
    auto begun = std::chrono::steady_clock::now();
    Result<AcquiredTree> tree = Acquire(Request(server.Url(name)));
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    EXPECT_TRUE(tree) << (tree ? "" : tree.error().message);
    if (!tree) return took;
    EXPECT_EQ(Digest::Of(Read(*tree, name)), Digest::Of(content));
    return took;
  }
};

TEST_F(EnginePaceTest, IsNotHeldUpByASlowFirstConnection) {
  std::string content = PatternBytes(64 * kMiB + 5, 3);
  OpenEngine();
  auto even = TimeToFill("even.bin", content, [](int) { return 12e6; });
  auto uneven =
      TimeToFill("uneven.bin", content, [](int number) { return number == 0 ? 0.5e6 : 12e6; });
  EXPECT_LE(uneven.count(), 2 * even.count());
}

TEST_F(EnginePaceTest, OpensMoreConnectionsWhileTheyBringMore) {
  OpenEngine();
  // So slow that nine connections bring more than eight on a busy machine too.
  PacedServer server(PatternBytes(128 * kMiB, 4), [](int) { return 2e6; });
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(server.Url("model.bin"))));
  EXPECT_GT(server.fetching(), 8);
  Result<EngineInfo> info = engine_->Info();
  ASSERT_TRUE(info);
  ASSERT_EQ(info->hosts.size(), 1U);
  EXPECT_GT(info->hosts[0].allowance, 4U);
}

TEST_F(EnginePaceTest, FillsOverSeveralLoops) {
  EngineOptions options = Options();
  options.transport.max_loops = 3;
  options.transport.busy_part = 0;  // use all alike
  options.buffer_bytes = 32 * kMiB;
  OpenEngine(options);
  std::string content = PatternBytes(96 * kMiB + 7, 6);
  TimeToFill("fast.bin", content, [](int) { return 1e9; });
  TimeToFill("uneven.bin", content, [](int number) { return number % 3 == 0 ? 8e6 : 80e6; });
}

TEST_F(EnginePaceTest, LetsAPublishGoBeforeAPrefetchThatKeepsOneConnection) {
  EngineOptions options = Options();
  options.fill.connections = 4;
  OpenEngine(options);
  PacedServer server(PatternBytes(128 * kMiB, 5), [](int) { return 8e6; });
  ModelReference prefetched = Request(server.Url("prefetched.bin")).model;
  Result<std::string> begun = engine_->Prefetch(prefetched, {});
  ASSERT_TRUE(begun) << begun.error().message;
  auto waited = std::make_shared<ConnectionsObserver>();
  engine_->Acquire(Request(server.Url("waited.bin")), waited);
  EXPECT_TRUE(waited->WaitFor(3)) << "an equal share would be two of four";
  // Waiting for the prefetch makes it an equal.
  auto raised = std::make_shared<ConnectionsObserver>();
  engine_->Acquire(Request(server.Url("prefetched.bin")), raised);
  EXPECT_TRUE(raised->WaitFor(2));
}

}  // namespace
}  // namespace weighhouse
