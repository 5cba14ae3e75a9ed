#include "cache-daemon/store/shared_sync.h"

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

using namespace std::chrono_literals;

class SharedSyncTest : public StoreTest {
 protected:
  SharedSyncTest() { std::filesystem::create_directories(Root()); }
  int Syncs() const { return filesystem_.Count("SyncDirectory"); }
  /// Begins a sync that goes on until `let_go_`.
  std::future<Result<>> BeginSlowSync() {
    std::promise<void> begun;
    filesystem_.Before("SyncDirectory", "", [&begun, end = let_go_.get_future().share()] {
      begun.set_value();
      end.wait_for(60s);
    });
    auto slow = std::async(std::launch::async, [this] { return sync_.Run(); });
    begun.get_future().wait();
    return slow;
  }
  /// Callers, of which each asks for a sync after it began to run; returns once all run.
  std::vector<std::future<Result<>>> Ask(size_t callers) {
    auto running = std::make_shared<std::atomic<size_t>>(0);
    std::vector<std::future<Result<>>> asked;
    for (size_t i = 0; i < callers; ++i) {
      asked.push_back(std::async(std::launch::async, [this, running] {
        ++*running;
        running->notify_all();
        return sync_.Run();
      }));
    }
    for (size_t seen = 0; seen < callers; seen = *running) running->wait(seen);
    return asked;
  }

  std::promise<void> let_go_;
  SharedSync sync_{filesystem_, Root().string()};
};

TEST_F(SharedSyncTest, EachCallerAloneGetsASyncOfItsOwn) {
  for (int i = 1; i <= 3; ++i) {
    EXPECT_TRUE(sync_.Run().has_value());
    EXPECT_EQ(Syncs(), i);
  }
}

TEST_F(SharedSyncTest, OneThatBeganBeforeTheCallIsNoAnswerToIt) {
  auto slow = BeginSlowSync();
  filesystem_.FailAt(
      {.operation = "SyncDirectory", .times = io::Fault::kForever, .error_number = EIO});
  auto late = Ask(8);
  let_go_.set_value();
  EXPECT_TRUE(slow.get().has_value());
  for (auto& one : late) EXPECT_FALSE(one.get().has_value()) << "all rely on a sync that failed";
}

TEST_F(SharedSyncTest, AFailureIsOfItsOwnRoundOnly) {
  filesystem_.FailAt({.operation = "SyncDirectory", .error_number = EIO});
  EXPECT_FALSE(sync_.Run().has_value());
  EXPECT_TRUE(sync_.Run().has_value());
  EXPECT_EQ(Syncs(), 2);
}

TEST_F(SharedSyncTest, CallersAtOnceShareOne) {
  // Who runs may not have asked yet when the slow one ends, so it may take a second try.
  auto deadline = std::chrono::steady_clock::now() + 30s;
  bool shared = false;
  while (!shared && std::chrono::steady_clock::now() < deadline) {
    int before = Syncs();
    let_go_ = {};
    auto slow = BeginSlowSync();
    auto others = Ask(16);
    let_go_.set_value();
    EXPECT_TRUE(slow.get().has_value());
    for (auto& one : others) EXPECT_TRUE(one.get().has_value());
    shared = Syncs() - before <= 8;
  }
  EXPECT_TRUE(shared);
}

TEST_F(SharedSyncTest, WhoHasItsAnswerIsDurable) {
  constexpr int kCallers = 8, kCalls = 200;
  std::atomic<int> written = 0;
  std::atomic<int> durable = 0;
  // Each sync makes durable what was written when it began. One at a time.
  for (int i = 0; i < kCallers * kCalls; ++i) {
    filesystem_.Before("SyncDirectory", "", [&] { durable = written.load(); });
  }
  std::vector<std::jthread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&] {
      for (int call = 0; call < kCalls; ++call) {
        int mine = ++written;
        EXPECT_TRUE(sync_.Run().has_value());
        EXPECT_GE(durable, mine);
      }
    });
  }
  callers.clear();
  EXPECT_LE(Syncs(), kCallers * kCalls);
}

}  // namespace
}  // namespace weighhouse::store
