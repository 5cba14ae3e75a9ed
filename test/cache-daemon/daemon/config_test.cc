#include "cache-daemon/daemon/config.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::daemon {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

Config Parsed(const std::string& text) {
  Result<Config> config = ParseConfig(text, "config.yaml");
  if (!config) ADD_FAILURE() << config.error().message;
  return config.value_or(Config());
}

std::string ErrorOf(const std::string& text) {
  Result<Config> config = ParseConfig(text, "config.yaml");
  if (config) return "accepted";
  EXPECT_EQ(config.error().code, Code::kInvalidArgument);
  return config.error().message;
}

TEST(ConfigTest, TakesEveryKey) {
  Config config = Parsed(R"(
cache:
  root: /mnt/nvme/weighhouse
  limit: 80%
  minFree: 20Gi
fill:
  files: 3
  connections: 70
  connectionsPerHost: 7
  bandwidthLimit: 100Mi
  loops: 3
  stallTimeout: 45s
  warm: true
  engine: pwrite
  bufferMemory: 64Mi
sources:
  huggingface:
    endpoint: https://hub.example/
  http:
    allowPlain: true
  local:
    roots: [/models, /more]
admin:
  listen: "[::1]:9899"
log:
  level: debug
  format: json
)");
  EXPECT_EQ(config.root, "/mnt/nvme/weighhouse");
  EXPECT_EQ(config.limit, (SpaceShare{.bytes = 0, .percent = 80}));
  EXPECT_EQ(config.min_free, (SpaceShare{.bytes = 20 * kGiB}));
  EXPECT_EQ(config.fill.max_active_files, 3u);
  EXPECT_EQ(config.fill.connections, 70u);
  EXPECT_EQ(config.fill.connections_per_host, 7u);
  EXPECT_EQ(config.fill.bandwidth_limit, 100 * kMiB);
  EXPECT_EQ(config.transport.max_loops, 3);
  EXPECT_EQ(config.transport.stall_timeout, 45s);
  EXPECT_TRUE(config.fill.warm);
  EXPECT_EQ(config.write_engine, io::IoEngineChoice::kPwrite);
  EXPECT_EQ(config.buffer_memory, 64 * kMiB);
  EXPECT_EQ(config.hub_endpoint, "https://hub.example");
  EXPECT_TRUE(config.allow_plain_http);
  EXPECT_EQ(config.local_roots, (std::vector<std::string>{"/models", "/more"}));
  EXPECT_EQ(config.admin_listen, (ListenAddress{.host = "::1", .port = 9899}));
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_EQ(config.log_format, LogFormat::kJson);
}

TEST(ConfigTest, AnEmptyDocumentIsTheDefaults) {
  for (const char* text : {"", "{}", "# nothing\n", "cache:\n"}) {
    EXPECT_EQ(Parsed(text).root, "/var/lib/weighhouse") << text;
  }
}

TEST(ConfigTest, NamesLineKeyValueAndWhatIsAllowed) {
  EXPECT_EQ(ErrorOf("cache:\n  limit: most\n"),
            "config.yaml:2: cache.limit is 'most': give bytes of at least 1Mi, such as 500Gi, or a "
            "percentage "
            "of the filesystem such as 80%");
}

TEST(ConfigTest, TheAdminPortIsOffUnlessItIsGiven) {
  EXPECT_EQ(Parsed("").admin_listen, std::nullopt);
  EXPECT_EQ(Parsed("admin: {listen: off}").admin_listen, std::nullopt);
  EXPECT_EQ(Parsed("admin: {listen: ':0'}").admin_listen, ListenAddress());
  EXPECT_EQ(Parsed("admin: {listen: 127.0.0.1:80}").admin_listen,
            (ListenAddress{.host = "127.0.0.1", .port = 80}));
}

TEST(ConfigTest, SuggestsTheNearestKey) {
  EXPECT_EQ(ErrorOf("cache:\n  root: /x\n  limitt: 1Gi\n"),
            "config.yaml:3: unknown key cache.limitt: did you mean cache.limit?");
  EXPECT_THAT(ErrorOf("zebra: 1\n"), HasSubstr("unknown key zebra: known are cache.root, "));
}

TEST(ConfigTest, RefusesAKeyGivenTwice) {
  EXPECT_THAT(ErrorOf("cache:\n  limit: 1Gi\n  limit: 2Gi\n"),
              HasSubstr(":3: cache.limit is given twice"));
}

TEST(ConfigTest, RefusesWhatIsNotYaml) {
  EXPECT_THAT(ErrorOf("cache: [1, \n"), HasSubstr("not YAML"));
  EXPECT_THAT(ErrorOf("- a\n- b\n"), HasSubstr("must be a mapping"));
  EXPECT_THAT(ErrorOf("cache: 5\n"), HasSubstr("cache must be a mapping"));
}

TEST(ConfigTest, RefusesBadValuesOfEveryKind) {
  for (const char* text : {"cache: {root: relative}",
                           "cache: {limit: 0}",
                           "cache: {limit: 0%}",
                           "cache: {limit: 101%}",
                           "cache: {limit: nan%}",
                           "cache: {limit: }",
                           "cache: {limit: [1Gi]}",
                           "cache: {limit: {a: 1}}",
                           "cache: {minFree: -1}",
                           "fill: {files: 0}",
                           "fill: {files: 65}",
                           "fill: {files: two}",
                           "fill: {connections: 1.5}",
                           "fill: {connections: 0}",
                           "fill: {connectionsPerHost: 257}",
                           "fill: {bandwidthLimit: 1Ki}",
                           "fill: {loops: 33}",
                           "fill: {stallTimeout: 30}",
                           "fill: {stallTimeout: 0s}",
                           "fill: {warm: maybe}",
                           "fill: {engine: aio}",
                           "fill: {bufferMemory: 1Mi}",
                           "sources: {huggingface: {endpoint: hub}}",
                           "sources: {huggingface: {endpoint: 'https://user@hub'}}",
                           "sources: {http: {allowPlain: 1}}",
                           "sources: {local: {roots: /models}}",
                           "sources: {local: {roots: [models]}}",
                           "admin: {listen: localhost:9899}",
                           "admin: {listen: 9899}",
                           "admin: {listen: on}",
                           "admin: {listen: [':9899']}",
                           "log: {level: loud}",
                           "log: {format: xml}"}) {
    EXPECT_THAT(ErrorOf(text), HasSubstr("give ")) << text;
  }
}

TEST(ConfigTest, EveryKeyIsDocumented) {
  std::set<std::string_view> names;
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_TRUE(names.insert(key.name).second) << key.name;
    EXPECT_FALSE(key.allowed.empty() || key.default_value.empty() || key.meaning.empty())
        << key.name;
    EXPECT_TRUE(key.meaning.ends_with('.')) << key.name;
  }
}

TEST(ConfigTest, OnlyTheDefaultFileMayBeAbsent) {
  EXPECT_TRUE(LoadConfig("/nonexistent/config.yaml", Presence::kOptional));
  Result<Config> required = LoadConfig("/nonexistent/config.yaml", Presence::kRequired);
  ASSERT_FALSE(required);
  EXPECT_THAT(required.error().message, HasSubstr("/nonexistent/config.yaml: No such file"));
}

TEST(ConfigTest, ReadsAFileAndAnEmptyFile) {
  std::string path = ::testing::TempDir() + "/config.XXXXXX";
  ASSERT_GE(::mkstemp(path.data()), 0);
  Result<Config> empty = LoadConfig(path, Presence::kRequired);
  EXPECT_TRUE(empty) << empty.error().message;
  std::ofstream(path) << "log: {level: error}\n";
  Result<Config> config = LoadConfig(path, Presence::kRequired);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->log_level, "error");
  EXPECT_FALSE(LoadConfig(::testing::TempDir(), Presence::kOptional))
      << "a directory is no configuration";
  ::unlink(path.c_str());
}

TEST(ConfigTest, SharesAreOfTheFilesystem) {
  Config config = Parsed("cache: {limit: 50%, minFree: 1Gi}");
  EngineOptions options = ToEngineOptions(config, 100 * kGiB);
  EXPECT_EQ(options.store.limit, 50 * kGiB);
  EXPECT_EQ(options.store.min_free, kGiB);
  EXPECT_EQ(ToEngineOptions(Config(), 100 * kGiB).store.min_free, std::nullopt);
}

}  // namespace
}  // namespace weighhouse::daemon
