#include "cli/snapshot_order.h"

#include <string>

#include <gtest/gtest.h>

namespace weighhouse::cli {
namespace {

namespace pb = ::weighhouse::cache::v1;

class SnapshotOrderTest : public testing::Test {
 protected:
  SnapshotOrderTest() {
    Add("hf://b/second", 30, 3, pb::Snapshot::COMPLETE);
    Add("hf://c/third", 10, 2, pb::Snapshot::FILLING);
    Add("hf://a/first", 20, 1, pb::Snapshot::INCOMPLETE);
    Add("hf://d/fourth", 20, 1, pb::Snapshot::COMPLETE);
  }
  void Add(const std::string& name, uint64_t bytes, int64_t used, pb::Snapshot::State state) {
    pb::Snapshot& snapshot = *list_.add_snapshots();
    snapshot.add_references(name + "@main");
    snapshot.set_bytes(bytes);
    snapshot.set_last_used_unix(used);
    snapshot.set_state(state);
  }
  /// The first letters of the names.
  std::string Sorted(SortBy by, bool reverse = false) {
    pb::ListResponse list = list_;
    Sort(list, by, reverse);
    std::string letters;
    for (const pb::Snapshot& snapshot : list.snapshots()) letters += snapshot.references(0)[5];
    return letters;
  }

  pb::ListResponse list_;
};

TEST_F(SnapshotOrderTest, HasFourKeysAndKeepsTheOrderOfWhatIsEqual) {
  EXPECT_EQ(Sorted(SortBy::kUsed), "bcad");
  EXPECT_EQ(Sorted(SortBy::kSize), "badc");
  EXPECT_EQ(Sorted(SortBy::kName), "abcd");
  EXPECT_EQ(Sorted(SortBy::kState), "cabd");
}

TEST_F(SnapshotOrderTest, ReversesAll) {
  EXPECT_EQ(Sorted(SortBy::kSize, true), "cdab");
  EXPECT_EQ(Sorted(SortBy::kName, true), "dcba");
}

}  // namespace
}  // namespace weighhouse::cli
