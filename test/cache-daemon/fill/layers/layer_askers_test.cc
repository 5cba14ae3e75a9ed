#include "cache-daemon/fill/layers/layer_askers.h"

#include <gtest/gtest.h>

namespace weighhouse::fill {
namespace {

LayerAsker AskerOf(const std::string& origin, bool anonymous,
                   FillPriority priority = FillPriority::kPrefetch) {
  LayerAsker asker;
  asker.request.listing = {
      .origin = origin, .revision = "1", .repository = {}, .anonymous = anonymous, .files = {}};
  asker.request.priority = priority;
  return asker;
}

class LayerAskersTest : public testing::Test {
 protected:
  bool Joins(LayerAsker asker) { return askers_.Join(asker); }
  LayerAskers askers_{AskerOf("oci+https://r/m", false)};
};

TEST_F(LayerAskersTest, NobodyIsToldTheRefusalOfTheLastOne) {
  EXPECT_EQ(askers_.DropFirst(), nullptr);
  EXPECT_FALSE(Joins(AskerOf("oci+https://r/m", false))) << "its own login may be good";
  EXPECT_EQ(askers_.Close().size(), 1U);
}

TEST_F(LayerAskersTest, TheNextOneIsTriedWhereTheFirstIsRefused) {
  ASSERT_TRUE(Joins(AskerOf("oci+https://r/m", false, FillPriority::kWaitedFor)));
  LayerAskers::Asker first = askers_.First();
  EXPECT_EQ(askers_.DropFirst(), first);
  EXPECT_EQ(askers_.priority(), FillPriority::kWaitedFor);
  EXPECT_NE(askers_.First(), first);
  EXPECT_TRUE(Joins(AskerOf("oci+https://r/m", false)));
  EXPECT_EQ(askers_.All().size(), 2U);
}

TEST_F(LayerAskersTest, OnlyThoseWhoMaySeeTheSameShare) {
  EXPECT_FALSE(Joins(AskerOf("oci+https://r/m", true)));
  EXPECT_FALSE(Joins(AskerOf("oci+https://r/other", false)));
  askers_.Close();
  EXPECT_FALSE(Joins(AskerOf("oci+https://r/m", false)));
  EXPECT_EQ(askers_.DropFirst(), nullptr);
}

}  // namespace
}  // namespace weighhouse::fill
