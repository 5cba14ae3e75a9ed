#include "cache-daemon/engine/publish_waits.h"

#include <gtest/gtest.h>

namespace weighhouse {
namespace {

using metrics::Lookup;
using Room = PublishWaits::Room;
using namespace std::chrono_literals;

constexpr PublishWait::Time kStart{1h};

TEST(PublishWaitsTest, ARepeatedPublishWaitsSinceItsFirstAcquire) {
  PublishWaits waits;
  EXPECT_TRUE(waits.Enter("lease", kStart)->Find(Lookup::kMiss));
  std::shared_ptr<PublishWait> again = waits.Enter("lease", kStart + 2min);
  EXPECT_EQ(again->since(), kStart);
  EXPECT_FALSE(again->Find(Lookup::kReplay)) << "counted once";
  EXPECT_EQ(again->End(), Lookup::kMiss) << "that it is complete now doesn't make it a hit";
}

TEST(PublishWaitsTest, EndsOnce) {
  PublishWaits waits;
  std::shared_ptr<PublishWait> first = waits.Enter("lease", kStart);
  std::shared_ptr<PublishWait> second = waits.Enter("lease", kStart);
  first->Find(Lookup::kMiss);
  EXPECT_TRUE(first->End());
  EXPECT_FALSE(second->End());
}

TEST(PublishWaitsTest, WhatLeftBeginsAnew) {
  PublishWaits waits;
  waits.Enter("lease", kStart)->Find(Lookup::kMiss);
  waits.Leave("lease");
  std::shared_ptr<PublishWait> next = waits.Enter("lease", kStart + 2min);
  EXPECT_EQ(next->since(), kStart + 2min);
  EXPECT_TRUE(next->Find(Lookup::kHit));
}

TEST(PublishWaitsTest, TheRefusedAreCountedOnceUntilTheyAreLetInOrLongSilent) {
  PublishWaits waits;
  auto one = waits.Enter("one", kStart);
  auto two = waits.Enter("two", kStart);
  waits.Say("one", *one, Room::kRefused, kStart);
  waits.Say("one", *one, Room::kRefused, kStart + 2min);
  waits.Say("two", *two, Room::kRefused, kStart);
  waits.Say("", *waits.Enter("", kStart), Room::kRefused, kStart);
  EXPECT_EQ(waits.RefusedForSpace(kStart + 2min), 2u) << "a pull is no publish";
  EXPECT_EQ(waits.RefusedForSpace(kStart + 6min), 1u) << "nobody repeats the second";
  waits.Say("one", *one, Room::kFound, kStart + 6min);
  EXPECT_EQ(waits.RefusedForSpace(kStart + 6min), 0u);
}

TEST(PublishWaitsTest, WhatAReleasedPublishFoundCountsNoMore) {
  PublishWaits waits;
  auto first = waits.Enter("lease", kStart);
  waits.Say("lease", *first, Room::kRefused, kStart);
  first->End();  // for good, and kubelet tries it again
  auto second = waits.Enter("lease", kStart);
  EXPECT_NE(first, second);
  waits.Leave("lease");
  EXPECT_EQ(waits.RefusedForSpace(kStart), 0u);
  for (const auto& late : {first, second}) waits.Say("lease", *late, Room::kRefused, kStart);
  EXPECT_EQ(waits.RefusedForSpace(kStart), 0u) << "they end after the release";
  waits.Say("lease", *waits.Enter("lease", kStart), Room::kRefused, kStart);
  EXPECT_EQ(waits.RefusedForSpace(kStart), 1u) << "another pod's";
}

TEST(PublishWaitsTest, WithoutALeaseEachIsItsOwn) {
  PublishWaits waits;
  EXPECT_NE(waits.Enter("", kStart), waits.Enter("", kStart));
}

TEST(PublishWaitsTest, ForgetsWhatNobodyReleased) {
  PublishWaits waits;
  std::weak_ptr<PublishWait> lost = waits.Enter("lost", kStart);
  waits.Enter("other", kStart + 23h);
  EXPECT_FALSE(lost.expired());
  waits.Enter("other", kStart + 25h);
  EXPECT_TRUE(lost.expired());
}

}  // namespace
}  // namespace weighhouse
