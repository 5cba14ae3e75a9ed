#include "base/byte_share.h"

#include <limits>

#include <gtest/gtest.h>

namespace weighhouse {
namespace {

TEST(FormatShareTest, ShowsBothInTheUnitOfTheTotal) {
  EXPECT_EQ(FormatShare(0, 0), "0/0 B");
  EXPECT_EQ(FormatShare(1, 1023), "1/1023 B");
  EXPECT_EQ(FormatShare(512, kKiB), "0.5/1.0 KiB");
  EXPECT_EQ(FormatShare(121 * kGiB / 10, 324 * kGiB / 10), "12.1/32.4 GiB");
}

TEST(PerCentTest, IsRoundedDownAndAtMostAll) {
  EXPECT_EQ(PerCent(0, 0), 0);
  EXPECT_EQ(PerCent(999, 1000), 99);
  EXPECT_EQ(PerCent(1000, 1000), 100);
  EXPECT_EQ(PerCent(2000, 1000), 100);
}

TEST(FormatTimeLeftTest, HasNoTenths) {
  EXPECT_EQ(FormatTimeLeft(7), "7 s");
  EXPECT_EQ(FormatTimeLeft(125), "2 min 5 s");
  EXPECT_FALSE(FormatTimeLeft(std::numeric_limits<uint64_t>::max()).empty());
}

}  // namespace
}  // namespace weighhouse
