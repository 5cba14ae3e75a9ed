#include "base/mutex.h"

#include <pthread.h>

#include <array>
#include <chrono>
#include <future>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/thread.h"

namespace weighhouse {
namespace {

struct Counter {
  Mutex mutex;
  ConditionVariable changed;
  int value GUARDED_BY(mutex) = 0;
};

TEST(MutexTest, LetsOneThreadInAtATime) {
  Counter counter;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&counter] {
        for (int round = 0; round < 1000; ++round) {
          MutexLock lock(counter.mutex);
          ++counter.value;
        }
      });
    }
  }
  MutexLock lock(counter.mutex);
  EXPECT_EQ(counter.value, 4000);
}

TEST(ConditionVariableTest, WakesWhoeverWaits) {
  Counter counter;
  std::jthread changer([&counter] {
    {
      MutexLock lock(counter.mutex);
      counter.value = 1;
    }
    counter.changed.NotifyAll();
  });
  MutexLock lock(counter.mutex);
  while (counter.value == 0) counter.changed.Wait(lock);
  EXPECT_EQ(counter.value, 1);
}

TEST(ConditionVariableTest, SaysWhenTheDeadlineHasPassed) {
  Counter counter;
  MutexLock lock(counter.mutex);
  auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
  while (counter.changed.WaitUntil(lock, deadline)) continue;
  EXPECT_GE(std::chrono::steady_clock::now(), deadline);
}

TEST(StartThreadTest, NamesTheThreadWithAtMostFifteenCharacters) {
  std::promise<std::string> name;
  std::jthread thread = StartThread("a-name-that-is-too-long", [&name](const auto&) {
    std::array<char, 16> buffer{};
    ::pthread_getname_np(::pthread_self(), buffer.data(), buffer.size());
    name.set_value(buffer.data());
  });
  EXPECT_EQ(name.get_future().get(), "a-name-that-is-");
}

TEST(StartThreadTest, IsAskedToStopWhenItsOwnerGoes) {
  std::promise<void> stopped;
  {
    std::jthread thread = StartThread("waiter", [&stopped](std::stop_token stop) {
      std::stop_callback tell(stop, [&stopped] { stopped.set_value(); });
      stopped.get_future().wait();
    });
  }
  SUCCEED();
}

}  // namespace
}  // namespace weighhouse
