#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/commands.h"

namespace weighhouse::cli {
namespace {

using ::testing::ElementsAre;

pb::ListResponse Listed() {
  pb::ListResponse list;
  auto add = [&list](const std::string& id, const std::string& reference) {
    pb::Snapshot& snapshot = *list.add_snapshots();
    snapshot.set_id(id + std::string(64 - id.size(), '0'));
    snapshot.add_references(reference);
  };
  add("aaaa1", "hf://org/name@main");
  add("aaaa2", "hf://org/name@v1");
  add("bbbb", "hf://org/name-2@main");
  return list;
}

std::string Id(std::string digits) { return digits.append(64 - digits.size(), '0'); }

TEST(SubjectTest, AReferenceNamesItsSnapshots) {
  EXPECT_THAT(SnapshotIdsOf("hf://org/name", Listed()).value(),
              ElementsAre(Id("aaaa1"), Id("aaaa2")));
  EXPECT_THAT(SnapshotIdsOf("hf://org/name@v1", Listed()).value(), ElementsAre(Id("aaaa2")));
  EXPECT_EQ(SnapshotIdsOf("hf://org/nam", Listed()).error().code, Code::kNotFound);
}

TEST(SubjectTest, AReferenceMayBeWrittenInAnyOfItsForms) {
  EXPECT_THAT(SnapshotIdsOf("hf://org/name:v1", Listed()).value(), ElementsAre(Id("aaaa2")));
  EXPECT_THAT(SnapshotIdsOf("hf://models/org/name@v1", Listed()).value(), ElementsAre(Id("aaaa2")));
  EXPECT_EQ(SnapshotIdsOf("hf://org", Listed()).error().code, Code::kInvalidArgument);
}

TEST(SubjectTest, TheBeginningOfAnIdIsEnoughIfItIsUnambiguous) {
  EXPECT_THAT(SnapshotIdsOf("bbbb", Listed()).value(), ElementsAre(Id("bbbb")));
  EXPECT_THAT(SnapshotIdsOf(Id("aaaa1"), Listed()).value(), ElementsAre(Id("aaaa1")));
  EXPECT_EQ(SnapshotIdsOf("aaaa", Listed()).error().code, Code::kInvalidArgument);
  EXPECT_EQ(SnapshotIdsOf("bbb", Listed()).error().code, Code::kInvalidArgument);
  EXPECT_EQ(SnapshotIdsOf("cccc", Listed()).error().code, Code::kNotFound);
  EXPECT_EQ(SnapshotIdsOf("org/name", Listed()).error().code, Code::kInvalidArgument);
}

TEST(ExitCodeTest, TellsForGoodFromForNow) {
  EXPECT_EQ(ExitCodeOf(Code::kNotFound), 1);
  EXPECT_EQ(ExitCodeOf(Code::kPermissionDenied), 1);
  EXPECT_EQ(ExitCodeOf(Code::kInvalidArgument), 2);
  EXPECT_EQ(ExitCodeOf(Code::kUnavailable), 3);
  EXPECT_EQ(ExitCodeOf(Code::kResourceExhausted), 3);
}

}  // namespace
}  // namespace weighhouse::cli
