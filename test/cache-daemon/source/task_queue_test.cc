#include "cache-daemon/source/task_queue.h"

#include <memory>

#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;

const TaskQueue::Time kNow = TaskQueue::Time{} + 1h;

std::string RunDue(TaskQueue& queue, TaskQueue::Time now, std::string& ran) {
  ran.clear();
  for (const TaskQueue::Task& task : queue.TakeDue(now)) task();
  return ran;
}

TEST(TaskQueueTest, RunsByDueTimeThenInOrder) {
  TaskQueue queue;
  std::string ran;
  auto add = [&](TaskQueue::Time due, char name) {
    return queue.Add(due, [&ran, name] { ran += name; });
  };
  EXPECT_TRUE(add(kNow + 5s, 'd'));
  EXPECT_TRUE(add(kNow, 'a'));
  EXPECT_FALSE(add(kNow, 'b')) << "the loop is already to wake for the first";
  EXPECT_FALSE(add(kNow + 1s, 'c'));
  EXPECT_EQ(queue.NextDue(), kNow);
  EXPECT_EQ(RunDue(queue, kNow, ran), "ab");
  EXPECT_EQ(RunDue(queue, kNow, ran), "");
  EXPECT_EQ(RunDue(queue, kNow + 5s, ran), "cd");
  EXPECT_FALSE(queue.NextDue());
}

TEST(TaskQueueTest, DropsAllWhenClosed) {
  TaskQueue queue;
  auto held = std::make_shared<int>(1);
  queue.Add(kNow, [held] {});
  queue.Close();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(queue.Add(kNow, [held] {}));
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_TRUE(queue.TakeDue(kNow).empty());
}

TEST(TaskQueueTest, LetsADroppedTaskPostAnother) {
  TaskQueue queue;
  struct PostsWhenDropped {
    TaskQueue& queue;
    ~PostsWhenDropped() {
      queue.Add(kNow, [] {});
    }
  };
  queue.Add(kNow, [guard = std::make_shared<PostsWhenDropped>(queue)] {});
  queue.Close();
  EXPECT_FALSE(queue.NextDue());
}

}  // namespace
}  // namespace weighhouse::source
