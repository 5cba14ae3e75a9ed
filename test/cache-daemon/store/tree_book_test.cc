#include "cache-daemon/store/tree_book.h"

#include <gtest/gtest.h>

namespace weighhouse::store {
namespace {

using State = TreeBook::State;

class TreesOfSnapshotsTest : public testing::Test {
 protected:
  void Add(const std::string& path, const std::string& snapshot_id, State state = State::kReady) {
    trees_.Add(path, {.snapshot_id = snapshot_id, .state = state});
  }
  std::optional<std::string> Ready(const std::string& snapshot_id) const {
    return trees_.FindReady(snapshot_id, Layout::kFiles, "");
  }

  TreeBook trees_;
};

TEST_F(TreesOfSnapshotsTest, ASnapshotHasItsOwnTreesOnly) {
  Add("trees/files/b", "one");
  Add("trees/files/a", "one", State::kWithdrawn);
  Add("trees/files/c", "other");
  EXPECT_EQ(trees_.OfSnapshot("one"), (std::vector<std::string>{"trees/files/a", "trees/files/b"}));
  EXPECT_EQ(trees_.Records("other").size(), 1u);
  EXPECT_EQ(Ready("one"), "trees/files/b");
  EXPECT_EQ(Ready("unknown"), std::nullopt);
  EXPECT_TRUE(trees_.OfSnapshot("unknown").empty());
}

TEST_F(TreesOfSnapshotsTest, ARemovedTreeIsNobodysAnyMore) {
  Add("trees/files/a", "one");
  trees_.Remove("trees/files/a");
  trees_.Remove("trees/files/a");
  EXPECT_EQ(Ready("one"), std::nullopt);
  EXPECT_TRUE(trees_.OfSnapshot("one").empty());
  Add("trees/files/a", "other");
  EXPECT_EQ(Ready("other"), "trees/files/a");
}

TEST_F(TreesOfSnapshotsTest, AWithdrawnTreeCountsUntilItIsRemoved) {
  Add("trees/files/a", "one");
  Add("trees/files/b", "one", State::kWithdrawn);
  trees_.Remove("trees/files/b");
  EXPECT_FALSE(trees_.HasWithdrawn());
  trees_.Withdraw("trees/files/a");
  EXPECT_TRUE(trees_.HasWithdrawn());
  trees_.SetLeaving("trees/files/a", true);
  EXPECT_TRUE(trees_.HasWithdrawn());
  trees_.Remove("trees/files/a");
  EXPECT_FALSE(trees_.HasWithdrawn());
}

}  // namespace
}  // namespace weighhouse::store
