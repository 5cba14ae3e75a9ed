#include "test/support/fixture_hub.h"

#include <gtest/gtest.h>

#include "test/support/temporary_directory.h"

namespace weighhouse {
namespace {

TEST(FixtureHubTest, ServesTheModelsOfItsDirectoryUnderOtherHostNames) {
  const TemporaryDirectory models;
  WriteTestFile(models / "org/name/config.json", "{}");
  auto hub = FixtureHub::Start(models.path());
  ASSERT_TRUE(hub.has_value()) << hub.error().message;
  EXPECT_TRUE((*hub)->hub_url().starts_with("http://127.0.0.1:"));
  EXPECT_TRUE((*hub)->cdn_url().starts_with("http://localhost:"));
  const std::string commit = (*hub)->Commit("org/name");
  EXPECT_EQ(commit.size(), 40U);
  EXPECT_NE((*hub)->Get("/api/models/org/name").find(commit), std::string::npos);
  EXPECT_EQ((*hub)->Get("/api/resolve-cache/models/org/name/" + commit + "/config.json"), "{}");
  EXPECT_EQ((*hub)->Stat("api_calls"), 1);
  EXPECT_EQ((*hub)->Commit("org/other"), "");
}

TEST(FixtureHubTest, MakesANewCommitWhenRescannedAndKeepsTheOld) {
  const TemporaryDirectory models;
  WriteTestFile(models / "org/name/config.json", "old");
  auto hub = FixtureHub::Start(models.path());
  ASSERT_TRUE(hub.has_value()) << hub.error().message;
  const std::string old_commit = (*hub)->Commit("org/name");
  WriteTestFile(models / "org/name/config.json", "new");
  (*hub)->Rescan();
  EXPECT_NE((*hub)->Commit("org/name"), old_commit);
  EXPECT_EQ((*hub)->Get("/api/resolve-cache/models/org/name/" + old_commit + "/config.json"),
            "old");
}

TEST(FixtureHubTest, FailsAsToldUntilTheFaultsAreCleared) {
  const TemporaryDirectory models;
  WriteTestFile(models / "org/name/config.json", "{}");
  auto hub = FixtureHub::Start(models.path());
  ASSERT_TRUE(hub.has_value()) << hub.error().message;
  (*hub)->SetFaults(R"([{"side":"hub","path":"/api/models","times":-1,
                         "action":{"kind":"status","status":503,"body":"down"}}])");
  EXPECT_EQ((*hub)->Get("/api/models/org/name"), "down");
  (*hub)->ClearFaults();
  EXPECT_NE((*hub)->Get("/api/models/org/name"), "down");
  (*hub)->Reset();
  EXPECT_EQ((*hub)->Stat("api_calls"), 0);
  EXPECT_EQ((*hub)->Log(), "[]");
}

TEST(FixtureHubTest, SaysThatItDidNotStart) {
  auto hub = FixtureHub::Start("/nonexistent");
  ASSERT_FALSE(hub.has_value());
  EXPECT_EQ(hub.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace weighhouse
