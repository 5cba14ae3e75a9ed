#include "cache-daemon/fill/file_askers.h"

#include <gtest/gtest.h>

namespace weighhouse::fill {
namespace {

using std::chrono::milliseconds;

const ListedFile kFile = {.path = "a", .size = 10, .identity = {.value = "x"}};

class FileAskersTest : public testing::Test {
 protected:
  void Add(const std::string& origin, const std::string& snapshot, const std::string& path = "a") {
    auto request = std::make_shared<FillRequest>();
    request->snapshot_id = snapshot;
    ListedFile file = kFile;
    file.path = path;
    request->listing = {.origin = origin, .files = {file}};
    askers_.Add(request, kFile);
  }
  /// Lets one window pass in which `fetched` more came.
  bool PassWindow(Bytes fetched) {
    EXPECT_FALSE(askers_.MoveOnIfSlow(now_, fetched_)) << "a window begins";
    now_ += milliseconds(1000);
    fetched_ += fetched;
    return askers_.MoveOnIfSlow(now_, fetched_);
  }
  Bytes FastBytes() { return static_cast<Bytes>(FileAskers::kFastEnough); }

  FileAskers askers_{milliseconds(1000)};
  FileAskers::Time now_{};
  Bytes fetched_ = 0;
};

TEST_F(FileAskersTest, NamesTheFileAsEachListingDoes) {
  Add("one", "s1");
  Add("two", "s2", "b");
  EXPECT_EQ(askers_.current().file.path, "a");
  ASSERT_TRUE(askers_.MoveOn({Code::kUnavailable, "away"}));
  EXPECT_EQ(askers_.current().file.path, "b");
  EXPECT_EQ(askers_.FailureOf("s1")->message, "a: away");
  EXPECT_EQ(askers_.FailureOf("s2"), std::nullopt);
}

TEST_F(FileAskersTest, WhatOneIsRefusedIsNotSaidToAnotherOfTheSameFill) {
  Add("one", "s1");
  Add("two", "s1");
  ASSERT_TRUE(askers_.MoveOn({Code::kUnavailable, "away"}));
  EXPECT_FALSE(askers_.MoveOn({Code::kPermissionDenied, "no"}));
  EXPECT_EQ(askers_.FailureOf("s1")->code, Code::kUnavailable);
}

TEST_F(FileAskersTest, ARefusalConcernsOneAskerAndOtherFailuresTheOrigin) {
  Add("one", "s1");
  Add("one", "s2");
  Add("one", "s3");
  Add("two", "s4");
  ASSERT_TRUE(askers_.MoveOn({Code::kPermissionDenied, "no"}));
  EXPECT_EQ(askers_.current().request->snapshot_id, "s2");
  ASSERT_TRUE(askers_.MoveOn({Code::kUnavailable, "away"}));
  EXPECT_EQ(askers_.current().request->snapshot_id, "s4");
  EXPECT_FALSE(askers_.MoveOn({Code::kDataLoss, "wrong"}));
  EXPECT_EQ(askers_.FailureOf("s1")->code, Code::kPermissionDenied);
  EXPECT_EQ(askers_.FailureOf("s3")->code, Code::kUnavailable);
  EXPECT_EQ(askers_.FailureOf("s4")->code, Code::kDataLoss);
}

TEST_F(FileAskersTest, KeepsToAnOriginThatIsFastOrAlone) {
  Add("one", "s1");
  EXPECT_FALSE(PassWindow(0)) << "nobody else has it";
  Add("one", "s2");
  EXPECT_FALSE(PassWindow(0)) << "nor has anybody of another origin";
  Add("two", "s3");
  EXPECT_FALSE(PassWindow(FastBytes()));
  EXPECT_TRUE(PassWindow(FastBytes() / 2));
  EXPECT_EQ(askers_.current_origin(), "two");
}

TEST_F(FileAskersTest, SettlesWithTheFastestOfTheSlow) {
  Add("slow", "s1");
  Add("best", "s2");
  Add("slowest", "s3");
  EXPECT_TRUE(PassWindow(1000));
  EXPECT_TRUE(PassWindow(100000)) << "the third is unknown yet";
  EXPECT_TRUE(PassWindow(10));
  EXPECT_EQ(askers_.current_origin(), "slow");
  EXPECT_TRUE(PassWindow(1000));
  EXPECT_EQ(askers_.current_origin(), "best");
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(PassWindow(100000));
}

TEST_F(FileAskersTest, ExcusesWhatIsNotTheOriginsFault) {
  Add("one", "s1");
  Add("two", "s2");
  EXPECT_FALSE(askers_.MoveOnIfSlow(now_, 0));
  now_ += milliseconds(900);
  askers_.ExcuseSlowness();
  EXPECT_FALSE(PassWindow(FastBytes()));
}

TEST_F(FileAskersTest, DoesNotGoBackToWhatFailed) {
  Add("one", "s1");
  Add("two", "s2");
  ASSERT_TRUE(askers_.MoveOn({Code::kUnavailable, "away"}));
  EXPECT_FALSE(askers_.OthersWait());
  EXPECT_FALSE(PassWindow(0));
  EXPECT_EQ(askers_.current_origin(), "two");
}

}  // namespace
}  // namespace weighhouse::fill
