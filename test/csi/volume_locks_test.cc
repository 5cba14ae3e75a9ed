#include "csi/volume_locks.h"

#include <future>

#include <gtest/gtest.h>

namespace weighhouse::csi {
namespace {

using std::chrono::steady_clock;

TEST(VolumeLocksTest, ASecondCallForTheVolumeOrTheTargetIsTurnedAway) {
  VolumeLocks locks;
  auto first = locks.TryLock("v", "/a");
  ASSERT_TRUE(first.has_value());
  EXPECT_FALSE(locks.TryLock("v", "/b").has_value());
  EXPECT_FALSE(locks.TryLock("w", "/a").has_value());
  EXPECT_TRUE(locks.TryLock("w", "/b").has_value());
}

TEST(VolumeLocksTest, ATurnedAwayCallHoldsNothing) {
  VolumeLocks locks;
  auto first = locks.TryLock("v", "/a");
  EXPECT_FALSE(locks.TryLock("v", "/b").has_value());
  EXPECT_TRUE(locks.TryLock("w", "/b").has_value());
  first.reset();
  EXPECT_TRUE(locks.TryLock("v", "/a").has_value());
}

TEST(VolumeLocksTest, AnUnpublishNeedsTheTargetOnly) {
  VolumeLocks locks;
  auto publish = locks.TryLock("v", "/a");
  EXPECT_TRUE(locks.WaitForTarget("/b", steady_clock::now()).has_value());
  EXPECT_FALSE(locks.WaitForTarget("/a", steady_clock::now()).has_value());
}

TEST(VolumeLocksTest, WaitingEndsWhenTheTargetIsFreed) {
  VolumeLocks locks;
  auto publish = locks.TryLock("v", "/a");
  auto waiting = std::async(std::launch::async, [&locks] {
    return locks.WaitForTarget("/a", steady_clock::now() + std::chrono::seconds(30)).has_value();
  });
  publish.reset();
  EXPECT_TRUE(waiting.get());
  EXPECT_TRUE(locks.TryLock("v", "/a").has_value());
}

TEST(VolumeLocksTest, AMovedGuardFreesOnce) {
  VolumeLocks locks;
  auto first = locks.TryLock("v", "/a");
  {
    VolumeLocks::Guard second = std::move(*first);
    first.reset();
    EXPECT_FALSE(locks.TryLock("v", "/a").has_value());
  }
  EXPECT_TRUE(locks.TryLock("v", "/a").has_value());
}

TEST(VolumeLocksTest, AVolumeAloneIsHeldWithoutATarget) {
  VolumeLocks locks;
  {
    auto guard = locks.TryLockVolume("v");
    EXPECT_TRUE(guard.has_value());
    EXPECT_FALSE(locks.TryLockVolume("v").has_value());
    EXPECT_FALSE(locks.TryLock("v", "t").has_value());
    EXPECT_TRUE(locks.TryLock("w", "t").has_value());
  }
  EXPECT_TRUE(locks.TryLockVolume("v").has_value());
}

}  // namespace
}  // namespace weighhouse::csi
