#include "cache-daemon/daemon/engine_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/support/temporary_directory.h"

namespace weighhouse::daemon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr Placement kShared{.filesystem_total = 100 * kGiB, .shared = true};
constexpr Placement kOwn{.filesystem_total = 100 * kGiB, .shared = false};

TEST(EngineOptionsTest, SharesAreOfTheFilesystem) {
  config::Config config;
  config.limit = {.percent = 50};
  config.min_free = {.bytes = kGiB};
  EngineOptions options = ToEngineOptions(config, kShared);
  EXPECT_EQ(options.store.limit, 50 * kGiB);
  EXPECT_EQ(options.store.min_free, kGiB);
}

TEST(EngineOptionsTest, KeepsWhatTheConfigurationLists) {
  config::Config config;
  config.keep = {ModelReference::Parse("hf://org/name@v1").value()};
  EXPECT_EQ(ToEngineOptions(config, kOwn).keep, config.keep);
}

TEST(EngineOptionsTest, ASharedFilesystemIsLeftMoreRoomByDefault) {
  EXPECT_EQ(ToEngineOptions({}, kShared).store.min_free, 20 * kGiB);
  EXPECT_EQ(ToEngineOptions({}, kOwn).store.min_free, 5 * kGiB);
  EXPECT_EQ(ToEngineOptions({}, kOwn).store.limit, 0u) << "the filesystem's size";
}

TEST(EngineOptionsTest, LessThanTheDefaultOfASharedFilesystemIsWarnedAbout) {
  config::Config config;
  EXPECT_EQ(WarningAbout(config, kShared), std::nullopt);
  config.min_free = {.percent = 20};
  EXPECT_EQ(WarningAbout(config, kShared), std::nullopt);
  config.min_free = {.percent = 10};
  EXPECT_EQ(WarningAbout(config, kOwn), std::nullopt);
  ASSERT_TRUE(WarningAbout(config, kShared));
  EXPECT_THAT(*WarningAbout(config, kShared),
              AllOf(HasSubstr("cache.minFree is 10.0 GiB"), HasSubstr("give 20.0 GiB (20%)")));
}

TEST(PlacementTest, OneDeviceIsOneFilesystem) {
  TemporaryDirectory directory;
  WriteTestFile(directory / "a/file", "x");
  WriteTestFile(directory / "b/file", "x");
  EXPECT_TRUE(OnOneFilesystem(directory / "a/file", directory / "b"));
  EXPECT_FALSE(OnOneFilesystem(directory / "a", "/proc"));
  EXPECT_FALSE(OnOneFilesystem(directory / "a", directory / "absent"));
}

TEST(PlacementTest, ARootBesideTheConfigurationFileIsShared) {
  TemporaryDirectory directory;
  Result<Placement> placement = PlacementOf(directory / "not/there/yet", directory / "config.yaml");
  ASSERT_TRUE(placement) << placement.error().message;
  EXPECT_TRUE(placement->shared);
  EXPECT_GT(placement->filesystem_total, 0u);
}

TEST(PlacementTest, AFilesystemOfItsOwnIsNotShared) {
  Result<Placement> placement = PlacementOf("/proc/self", "/nonexistent/config.yaml");
  ASSERT_TRUE(placement) << placement.error().message;
  EXPECT_FALSE(placement->shared);
}

}  // namespace
}  // namespace weighhouse::daemon
