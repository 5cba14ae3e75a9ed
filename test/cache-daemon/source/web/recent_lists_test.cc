#include "cache-daemon/source/web/recent_lists.h"

#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using std::chrono::minutes;
using Lists = RecentLists<std::string>;

const Lists::Clock::time_point kStart = Lists::Clock::time_point(minutes(100));

TEST(RecentListsTest, FindsWhatIsNotTooOld) {
  Lists lists({.age = minutes(5)});
  lists.Remember("a", "list", 1, kStart);
  ASSERT_TRUE(lists.Find("a", kStart + minutes(4)));
  EXPECT_EQ(*lists.Find("a", kStart + minutes(4)), "list");
  EXPECT_FALSE(lists.Find("b", kStart));
  EXPECT_FALSE(lists.Find("a", kStart + minutes(5)));
}

TEST(RecentListsTest, LetsGoOfWhatIsOldWhoeverAsksForWhatever) {
  Lists lists({.age = minutes(5)});
  lists.Remember("a", "list", 1, kStart);
  lists.Find("b", kStart + minutes(5));
  EXPECT_EQ(lists.size(), 0U);
  lists.Remember("a", "list", 1, kStart);
  lists.Remember("b", "list", 1, kStart + minutes(5));
  EXPECT_EQ(lists.size(), 1U);
}

TEST(RecentListsTest, KeepsSoManyBytesAndTheNewestWhateverItTakes) {
  Lists lists({.count = 100, .bytes = 10});
  lists.Remember("a", "1", 4, kStart);
  lists.Remember("b", "2", 4, kStart + minutes(1));
  lists.Remember("a", "3", 4, kStart + minutes(2));  // in the first one's place
  EXPECT_EQ(lists.size(), 2U);
  lists.Remember("c", "4", 4, kStart + minutes(3));
  EXPECT_FALSE(lists.Find("b", kStart + minutes(3))) << "the oldest";
  EXPECT_TRUE(lists.Find("a", kStart + minutes(3)));
  lists.Remember("d", "5", 1000, kStart + minutes(3));
  EXPECT_EQ(lists.size(), 1U);
  EXPECT_TRUE(lists.Find("d", kStart + minutes(3)));
}

TEST(RecentListsTest, KeepsSoMany) {
  Lists lists({.count = 2});
  for (int i = 0; i < 5; ++i) lists.Remember(std::to_string(i), "", 0, kStart + minutes(i));
  EXPECT_EQ(lists.size(), 2U);
}

}  // namespace
}  // namespace weighhouse::source
