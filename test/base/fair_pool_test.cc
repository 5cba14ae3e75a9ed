#include "base/fair_pool.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse {
namespace {

/// Jobs that last until the test lets them end, as those of a source that doesn't answer.
class SlowJobs {
 public:
  ~SlowJobs() { End(); }
  std::function<void()> Make() {
    return [this] {
      int now = ++running_;
      int most = most_;
      while (now > most && !most_.compare_exchange_weak(most, now)) {
      }
      end_.wait();
      --running_;
      ++ended_;
    };
  }
  void End() {
    if (!std::exchange(told_, true)) go_.set_value();
  }
  void AwaitRunning(int jobs) const { Await(running_, jobs); }
  void AwaitEnded(int jobs) const { Await(ended_, jobs); }
  int most() const { return most_; }

 private:
  static void Await(const std::atomic<int>& count, int wanted) {
    auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (count != wanted && std::chrono::steady_clock::now() < patience)
      std::this_thread::yield();
    EXPECT_EQ(count, wanted);
  }

  std::promise<void> go_;
  const std::shared_future<void> end_ = go_.get_future().share();
  bool told_ = false;
  std::atomic<int> running_ = 0;
  std::atomic<int> most_ = 0;
  std::atomic<int> ended_ = 0;
};

/// Posts a job of `party` and waits for its end, after `meanwhile`.
void Pass(
    FairPool& pool, const std::string& party, const std::function<void()>& meanwhile = [] {}) {
  auto ran = std::make_shared<std::promise<void>>();  // shared: the job may be slower to leave it
  pool.Post(party, [ran] { ran->set_value(); });
  meanwhile();
  EXPECT_EQ(ran->get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
}

TEST(FairPoolTest, RunsThePartysJobsInTheirOrderAndLetsPartiesTakeTurns) {
  std::vector<std::string> order;
  std::promise<void> go;
  std::latch done(6);
  FairPool pool("pool", {.threads = 1});
  pool.Post("first", [held = go.get_future().share()] { held.wait(); });
  for (const char* name : {"a1", "a2", "a3", "b1", "b2", "c1"}) {
    pool.Post(std::string(1, name[0]), [&order, &done, name] {
      order.emplace_back(name);
      done.count_down();
    });
  }
  go.set_value();
  done.wait();
  EXPECT_THAT(order, testing::ElementsAre("a1", "b1", "c1", "a2", "b2", "a3"));
}

TEST(FairPoolTest, OnePartyHoldsNoMoreThanItsShareAndOthersPass) {
  SlowJobs slow;
  FairPool pool("pool", {.threads = 8, .most_for_one = 2});
  for (int i = 0; i < 20; ++i) pool.Post("slow", slow.Make());
  slow.AwaitRunning(2);
  for (int i = 0; i < 20; ++i) Pass(pool, "other " + std::to_string(i % 3));
  slow.End();
  slow.AwaitEnded(20);
  EXPECT_EQ(slow.most(), 2);
}

TEST(FairPoolTest, AloneItHasItsWholeShare) {
  SlowJobs slow;
  FairPool pool("pool", {.threads = 16, .most_for_one = 4});
  for (int i = 0; i < 4; ++i) pool.Post("slow", slow.Make());
  slow.AwaitRunning(4);
  slow.End();
  slow.AwaitEnded(4);
}

TEST(FairPoolTest, PartiesThatHoldAllTheyMayLeaveAThreadForTheNext) {
  SlowJobs slow;
  FairPool pool("pool", {.threads = 4, .most_for_one = 4});
  for (int i = 0; i < 10; ++i) pool.Post("slow", slow.Make());
  slow.AwaitRunning(2);
  for (int i = 0; i < 10; ++i) pool.Post("as slow", slow.Make());
  slow.AwaitRunning(3);
  Pass(pool, "other");
  slow.End();
  slow.AwaitEnded(20);
}

TEST(FairPoolTest, WhatBecomesFreeGoesToThoseWhoWait) {
  SlowJobs slow;
  SlowJobs slower;
  FairPool pool("pool", {.threads = 2, .most_for_one = 1});
  pool.Post("slow", slow.Make());
  pool.Post("slower", slower.Make());
  pool.Post("slower", slower.Make());
  slow.AwaitRunning(1);
  slower.AwaitRunning(1);
  Pass(pool, "other", [&slow] { slow.End(); });
  slower.End();
  slower.AwaitEnded(2);
  EXPECT_EQ(slower.most(), 1);
}

TEST(FairPoolTest, WhoHasNoThreadIsNotForgottenForATurnThatCameFirst) {
  SlowJobs first;
  SlowJobs others;
  std::promise<void> ran;
  FairPool pool("pool", {.threads = 4, .most_for_one = 2});
  pool.Post("p", first.Make());
  for (const char* party : {"q", "r"}) pool.Post(party, others.Make());
  first.AwaitRunning(1);
  others.AwaitRunning(2);
  // One thread is free, which is for a party that has none.
  pool.Post("q", others.Make());
  pool.Post("p", [&ran] { ran.set_value(); });
  first.End();  // its thread has its turn with q
  EXPECT_EQ(ran.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  others.AwaitRunning(3);
  others.End();
  others.AwaitEnded(3);
}

TEST(FairPoolTest, AJobMayPostAnother) {
  std::promise<void> second;
  FairPool pool("pool", {.threads = 1});
  pool.Post("a", [&] { pool.Post("a", [&] { second.set_value(); }); });
  second.get_future().get();
}

TEST(FairPoolTest, DestructionWaitsForTheRunningAndDropsTheWaiting) {
  std::promise<void> started;
  std::promise<void> release;
  std::atomic<bool> first_finished = false;
  std::atomic<int> others = 0;
  {
    FairPool pool("pool", {.threads = 1});
    // The waiting jobs are dropped before the running one is joined, which lets it go on.
    auto let_go = std::shared_ptr<void>(nullptr, [&](void*) {
      pool.Post("a", [&others] { ++others; });
      release.set_value();
    });
    pool.Post("a", [&] {
      started.set_value();
      release.get_future().wait();
      first_finished = true;
    });
    started.get_future().wait();
    pool.Post("a", [&others] { ++others; });
    pool.Post("b", [&others, kept = std::move(let_go)] { ++others; });
  }
  EXPECT_TRUE(first_finished);
  EXPECT_EQ(others, 0);
}

TEST(FairPoolTest, TakesJobsOfManyPartiesFromManyThreads) {
  constexpr int kEach = 300;
  constexpr int kPosters = 4;
  std::vector<std::atomic<int>> running(3);
  std::atomic<int> too_many = 0;
  std::latch done(kPosters * kEach);
  FairPool pool("pool", {.threads = 4, .most_for_one = 2});
  std::vector<std::jthread> posters;
  for (int i = 0; i < kPosters; ++i) {
    posters.emplace_back([&] {
      for (int job = 0; job < kEach; ++job) {
        std::atomic<int>& its = running[static_cast<size_t>(job % 3)];
        pool.Post(std::to_string(job % 3), [&] {
          if (++its > 2) ++too_many;
          std::this_thread::yield();
          --its;
          done.count_down();
        });
      }
    });
  }
  done.wait();
  EXPECT_EQ(too_many, 0);
}

}  // namespace
}  // namespace weighhouse
