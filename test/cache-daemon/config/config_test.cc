#include "cache-daemon/config/config.h"

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/config/reference_page.h"

namespace weighhouse::config {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

ConfigValue Text(const std::string& text) { return {.is_list = false, .items = {text}}; }

TEST(ConfigKeysTest, AreAllDocumented) {
  std::set<std::string_view> names;
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_FALSE(key.allowed.empty() || key.default_value.empty() || key.meaning.empty())
        << key.name;
    EXPECT_TRUE(key.meaning.ends_with('.')) << key.name;
    EXPECT_EQ(FindKey(key.name), &key);
  }
  EXPECT_EQ(FindKey("cache"), nullptr);
}

/// docs/configuration.md is what the program prints: `weighhouse config keys >
/// docs/configuration.md`.
TEST(ConfigKeysTest, AreThoseOfTheReferencePage) {
  std::ifstream file(std::string(std::getenv("WEIGHHOUSE_SOURCE_DIR")) + "/docs/configuration.md");
  std::stringstream page;
  page << file.rdbuf();
  EXPECT_EQ(page.str(), ReferencePage());
}

TEST(DiffersTest, ComparesMeaningsAndNotTexts) {
  const ConfigKey& files = *FindKey("fill.files");
  EXPECT_FALSE(Differs(files, {}, {}));
  EXPECT_FALSE(Differs(files, {}, {{files.name, Text("8")}})) << "the default";
  EXPECT_TRUE(Differs(files, {}, {{files.name, Text("9")}}));
  const ConfigKey& buffers = *FindKey("fill.bufferMemory");
  EXPECT_FALSE(Differs(buffers, {{buffers.name, Text("1Gi")}}, {{buffers.name, Text("1024Mi")}}));
}

TEST(PlanReloadTest, TakesOverWhatTakesEffectAtOnceAndNamesTheRest) {
  ConfigValues running = {
      {"cache.limit", Text("10Gi")}, {"cache.root", Text("/old")}, {"fill.warm", Text("true")}};
  ConfigValues wanted = {{"cache.limit", Text("5Gi")},
                         {"cache.root", Text("/new")},
                         {"fill.engine", Text("pwrite")},
                         {"log.level", Text("info")}};
  ReloadPlan plan = PlanReload(running, wanted);
  EXPECT_THAT(plan.applied, ElementsAre("cache.limit", "fill.warm"));
  EXPECT_THAT(plan.pending, ElementsAre("cache.root", "fill.engine"));
  Config effective = ConfigOf(plan.effective);
  EXPECT_EQ(effective.limit, (SpaceShare{.bytes = 5 * kGiB}));
  EXPECT_FALSE(effective.fill.warm) << "a key that is gone has its default again";
  EXPECT_EQ(effective.root, "/old");
  EXPECT_EQ(effective.write_engine, io::IoEngineChoice::kAuto);
}

TEST(PlanReloadTest, WhatIsPendingStaysSoUntilItIsTakenBack) {
  ConfigValues started;
  ConfigValues wanted = {{"fill.engine", Text("pwrite")}};
  ConfigValues running = PlanReload(started, wanted).effective;
  EXPECT_THAT(PlanReload(running, wanted).pending, ElementsAre("fill.engine"));
  EXPECT_THAT(PlanReload(running, started).pending, IsEmpty());
}

}  // namespace
}  // namespace weighhouse::config
