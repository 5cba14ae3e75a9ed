#include "base/thread.h"

#include <pthread.h>
#include <sched.h>

#include <array>

#include <gtest/gtest.h>

namespace weighhouse {
namespace {

TEST(ThreadTest, HasItsNameAndIsAskedToStop) {
  std::string name;
  bool asked = false;
  std::jthread thread =
      StartThread("a-name-of-more-than-fifteen", [&](const std::stop_token& stop) {
        std::array<char, 16> text{};
        pthread_getname_np(pthread_self(), text.data(), text.size());
        name = text.data();
        while (!stop.stop_requested()) std::this_thread::yield();
        asked = true;
      });
  thread.request_stop();
  thread.join();
  EXPECT_EQ(name, "a-name-of-more-");
  EXPECT_TRUE(asked);
}

TEST(ThreadTest, IsScheduledAsItWasAskedFor) {
  auto policy_of = [](Scheduling scheduling) {
    int policy = -1;
    StartThread("test", [&](const auto&) { policy = sched_getscheduler(0); }, scheduling).join();
    return policy;
  };
  EXPECT_EQ(policy_of(Scheduling::kNormal), sched_getscheduler(0));
  EXPECT_EQ(policy_of(Scheduling::kBatch), SCHED_BATCH);
}

}  // namespace
}  // namespace weighhouse
