#include "cache-daemon/daemon/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::daemon {
namespace {

using ::testing::HasSubstr;

std::expected<Options, Printout> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "weighhouse-cached");
  return ParseOptions(static_cast<int>(arguments.size()), arguments.data());
}

TEST(OptionsTest, HasDefaults) {
  auto parsed = Parse({});
  ASSERT_TRUE(parsed);
  const auto& options = *parsed;
  EXPECT_FALSE(options.config);
  EXPECT_EQ(options.socket_directory, "/run/weighhouse");
  EXPECT_FALSE(options.allow_root);
}

TEST(OptionsTest, TakesFlags) {
  auto parsed = Parse({"--config", "/c", "--root=/r", "--socket-directory", "/s", "--log-level",
                       "debug", "--allow-uid", "5", "--allow-uid", "6", "--allow-watch-uid", "7",
                       "--allow-watch-uid=8", "--allow-root", "--node-name", "gpu-1",
                       "--node-labels", "pool=gpu,zone=a"});
  ASSERT_TRUE(parsed) << parsed.error().text;
  const auto& options = *parsed;
  EXPECT_EQ(options.config, "/c");
  EXPECT_EQ(options.root, "/r");
  EXPECT_EQ(options.socket_directory, "/s");
  EXPECT_EQ(options.log_level, "debug");
  EXPECT_EQ(options.allow_uids, (std::vector<uid_t>{5, 6}));
  EXPECT_EQ(options.allow_watch_uids, (std::vector<uid_t>{7, 8}));
  EXPECT_TRUE(options.allow_root);
  EXPECT_EQ(options.node.name, "gpu-1");
  EXPECT_EQ(options.node.labels,
            (std::map<std::string, std::string>{{"pool", "gpu"}, {"zone", "a"}}));
}

TEST(OptionsTest, SuggestsTheNearestFlag) {
  auto parsed = Parse({"--socket-dir=/x"});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().exit_code, 2);
  EXPECT_THAT(Parse({"--confg=/x"}).error().text, HasSubstr("did you mean --config?"));
}

TEST(OptionsTest, RefusesABadValue) {
  EXPECT_EQ(Parse({"--log-level", "loud"}).error().exit_code, 2);
  EXPECT_EQ(Parse({"--allow-uid", "root"}).error().exit_code, 2);
  EXPECT_EQ(Parse({"--allow-watch-uid", "agent"}).error().exit_code, 2);
  EXPECT_EQ(Parse({"stray"}).error().exit_code, 2);
  EXPECT_EQ(Parse({"--node-labels", "pool"}).error().exit_code, 2);
}

TEST(OptionsTest, PrintsHelpAndVersion) {
  EXPECT_EQ(Parse({"--help"}).error().exit_code, 0);
  EXPECT_THAT(Parse({"--help"}).error().text, HasSubstr("--socket-directory"));
  EXPECT_THAT(Parse({"--help"}).error().text, HasSubstr("--allow-watch-uid"));
  EXPECT_EQ(Parse({"--version"}).error().text, "weighhouse-cached " WEIGHHOUSE_VERSION "\n");
}

}  // namespace
}  // namespace weighhouse::daemon
