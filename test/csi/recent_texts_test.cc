#include "csi/recent_texts.h"

#include <gtest/gtest.h>

namespace weighhouse::csi {
namespace {

TEST(RecentTextsTest, ATextIsNewOnceAndAgainWhenOthersTookItsPlace) {
  RecentTexts texts(2);
  EXPECT_TRUE(texts.Add("a"));
  EXPECT_FALSE(texts.Add("a"));
  EXPECT_TRUE(texts.Add(std::string(10'000, 'b')));
  EXPECT_FALSE(texts.Add("a"));
  EXPECT_TRUE(texts.Add("c"));
  EXPECT_TRUE(texts.Add("a"));
  EXPECT_FALSE(texts.Add("c"));
}

}  // namespace
}  // namespace weighhouse::csi
