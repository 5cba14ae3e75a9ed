#include "agent/token_bucket.h"

#include <gtest/gtest.h>

namespace weighhouse::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TokenBucket::Time kStart{seconds(1000)};

TEST(TokenBucketTest, GivesABurstAndThenItsRate) {
  TokenBucket bucket(2, 0.5, kStart);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(bucket.ReadyAt(kStart), kStart);
    bucket.Take(kStart);
  }
  EXPECT_EQ(bucket.ReadyAt(kStart), kStart + seconds(2));
  EXPECT_EQ(bucket.ReadyAt(kStart + seconds(1)), kStart + seconds(2));
  EXPECT_EQ(bucket.ReadyAt(kStart + seconds(2)), kStart + seconds(2));
}

TEST(TokenBucketTest, SavesNoMoreThanABurst) {
  TokenBucket bucket(2, 1, kStart);
  auto late = kStart + seconds(100);
  bucket.Take(late);
  bucket.Take(late);
  EXPECT_EQ(bucket.ReadyAt(late), late + seconds(1));
}

}  // namespace
}  // namespace weighhouse::agent
