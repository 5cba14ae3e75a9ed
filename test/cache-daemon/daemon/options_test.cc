#include "cache-daemon/daemon/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::daemon {
namespace {

using ::testing::HasSubstr;

std::variant<Options, Printout> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "weighhouse-cached");
  return ParseOptions(static_cast<int>(arguments.size()), arguments.data());
}

TEST(OptionsTest, HasDefaults) {
  auto parsed = Parse({});
  ASSERT_TRUE(std::holds_alternative<Options>(parsed));
  const auto& options = std::get<Options>(parsed);
  EXPECT_FALSE(options.config);
  EXPECT_EQ(options.socket_directory, "/run/weighhouse");
  EXPECT_FALSE(options.allow_root);
}

TEST(OptionsTest, TakesFlags) {
  auto parsed = Parse({"--config", "/c", "--root=/r", "--socket-directory", "/s", "--log-level",
                       "debug", "--allow-uid", "5", "--allow-uid", "6", "--allow-root"});
  ASSERT_TRUE(std::holds_alternative<Options>(parsed)) << std::get<Printout>(parsed).text;
  const auto& options = std::get<Options>(parsed);
  EXPECT_EQ(options.config, "/c");
  EXPECT_EQ(options.root, "/r");
  EXPECT_EQ(options.socket_directory, "/s");
  EXPECT_EQ(options.log_level, "debug");
  EXPECT_EQ(options.allow_uids, (std::vector<uid_t>{5, 6}));
  EXPECT_TRUE(options.allow_root);
}

TEST(OptionsTest, SuggestsTheNearestFlag) {
  auto parsed = Parse({"--socket-dir=/x"});
  ASSERT_TRUE(std::holds_alternative<Printout>(parsed));
  EXPECT_EQ(std::get<Printout>(parsed).exit_code, 2);
  EXPECT_THAT(std::get<Printout>(Parse({"--confg=/x"})).text, HasSubstr("did you mean --config?"));
}

TEST(OptionsTest, RefusesABadValue) {
  EXPECT_EQ(std::get<Printout>(Parse({"--log-level", "loud"})).exit_code, 2);
  EXPECT_EQ(std::get<Printout>(Parse({"--allow-uid", "root"})).exit_code, 2);
  EXPECT_EQ(std::get<Printout>(Parse({"stray"})).exit_code, 2);
}

TEST(OptionsTest, PrintsHelpAndVersion) {
  EXPECT_EQ(std::get<Printout>(Parse({"--help"})).exit_code, 0);
  EXPECT_THAT(std::get<Printout>(Parse({"--help"})).text, HasSubstr("--socket-directory"));
  EXPECT_EQ(std::get<Printout>(Parse({"--version"})).text,
            "weighhouse-cached " WEIGHHOUSE_VERSION "\n");
}

}  // namespace
}  // namespace weighhouse::daemon
