#include "base/worker_pool.h"

#include <pthread.h>

#include <array>
#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace weighhouse {
namespace {

TEST(WorkerPoolTest, RunsJobsInTheOrderTheyWerePosted) {
  WorkerPool pool("pool", 1);
  std::vector<int> order;
  std::latch done(100);
  for (int i = 0; i < 100; ++i) {
    pool.Post([&order, &done, i] {
      order.push_back(i);
      done.count_down();
    });
  }
  done.wait();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(WorkerPoolTest, RunsAsManyAtOnceAsItHasThreads) {
  WorkerPool pool("pool", 3);
  std::latch all_running(3);  // would never open if one waited for another
  std::latch done(3);
  for (int i = 0; i < 3; ++i) {
    pool.Post([&] {
      all_running.arrive_and_wait();
      done.count_down();
    });
  }
  done.wait();
}

TEST(WorkerPoolTest, NamesItsThreads) {
  WorkerPool pool("hash", 1);
  std::promise<std::string> name;
  pool.Post([&name] {
    std::array<char, 16> buffer{};
    ::pthread_getname_np(::pthread_self(), buffer.data(), buffer.size());
    name.set_value(buffer.data());
  });
  EXPECT_EQ(name.get_future().get(), "hash-0");
}

TEST(WorkerPoolTest, AJobMayPostAnother) {
  WorkerPool pool("pool", 1);
  std::promise<void> second;
  pool.Post([&] { pool.Post([&] { second.set_value(); }); });
  second.get_future().get();
}

TEST(WorkerPoolTest, DestructionWaitsForTheRunningAndDropsTheWaiting) {
  std::promise<void> started;
  std::promise<void> release;
  std::atomic<bool> first_finished = false;
  std::atomic<int> others = 0;
  {
    WorkerPool pool("pool", 1);
    // The waiting jobs are dropped before the running one is joined, which lets it go on.
    auto let_go = std::shared_ptr<void>(nullptr, [&](void*) { release.set_value(); });
    pool.Post([&] {
      started.set_value();
      release.get_future().wait();
      first_finished = true;
    });
    started.get_future().wait();
    pool.Post([&others, kept = std::move(let_go)] { ++others; });
  }
  EXPECT_TRUE(first_finished);
  EXPECT_EQ(others, 0);
}

TEST(WorkerPoolTest, WhatADroppedJobOwnsMayPostWhenItDies) {
  std::promise<void> started;
  std::promise<void> release;
  std::atomic<bool> ran = false;
  {
    auto pool = std::make_unique<WorkerPool>("pool", 1);
    pool->Post([&] {
      started.set_value();
      release.get_future().wait();
    });
    started.get_future().wait();
    WorkerPool& posted_to = *pool;
    auto poster = std::shared_ptr<void>(nullptr, [&](void*) {
      posted_to.Post([&ran] { ran = true; });
      release.set_value();
    });
    pool->Post([kept = std::move(poster)] {});
  }
  EXPECT_FALSE(ran);
}

TEST(WorkerPoolTest, TakesJobsFromManyThreads) {
  std::atomic<int> ran = 0;
  constexpr int kJobs = 4 * 500;
  std::latch done(kJobs);
  WorkerPool pool("pool", 2);
  std::vector<std::jthread> posters;
  for (int i = 0; i < 4; ++i) {
    posters.emplace_back([&] {
      for (int job = 0; job < 500; ++job) {
        pool.Post([&] {
          ++ran;
          done.count_down();
        });
      }
    });
  }
  done.wait();
  EXPECT_EQ(ran, kJobs);
}

}  // namespace
}  // namespace weighhouse
