#include "cache-daemon/config/document.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::config {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

Config Parsed(const std::string& text) {
  Result<Document> document = ParseDocument(text, "config.yaml");
  if (!document) ADD_FAILURE() << document.error().message;
  return document ? ConfigOf(document->values) : Config();
}

std::string ErrorOf(const std::string& text) {
  Result<Document> document = ParseDocument(text, "config.yaml");
  if (document) return "accepted";
  EXPECT_EQ(document.error().code, Code::kInvalidArgument);
  return document.error().message;
}

TEST(DocumentTest, TakesEveryKey) {
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
scrub:
  dailyBytes: 7Gi
  rate: 8Mi
  verifyRate: 9Mi
sources:
  allow: ["hf://org/*", "*"]
  huggingface:
    endpoint: https://hub.example/
  http:
    allowPlain: true
  local:
    roots: [/models, /more]
keep: [hf://org/name@v1, "file:///models/a"]
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
  EXPECT_EQ(config.fill.stall_timeout, 45s);
  EXPECT_TRUE(config.fill.warm);
  EXPECT_EQ(config.write_engine, io::IoEngineChoice::kPwrite);
  EXPECT_EQ(config.buffer_memory, 64 * kMiB);
  EXPECT_EQ(config.scrub_daily_bytes, 7 * kGiB);
  EXPECT_EQ(config.scrub_rate, 8 * kMiB);
  EXPECT_EQ(config.verify_rate, 9 * kMiB);
  EXPECT_EQ(config.hub_endpoint, "https://hub.example");
  EXPECT_EQ(config.allow, (std::vector<std::string>{"hf://org/*", "*"}));
  EXPECT_TRUE(config.allow_plain_http);
  EXPECT_EQ(config.local_roots, (std::vector<std::string>{"/models", "/more"}));
  ASSERT_EQ(config.keep.size(), 2u);
  EXPECT_EQ(config.keep[0].ToString(), "hf://org/name@v1");
  EXPECT_EQ(config.admin_listen, (ListenAddress{.host = "::1", .port = 9899}));
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_EQ(config.log_format, LogFormat::kJson);
}

TEST(DocumentTest, TakesTheWaysToHubs) {
  Config config = Parsed(R"(
sources:
  huggingface:
    mirrors: [https://mirror.example/hub/, http://10.0.0.1:8080]
    offline: true
  modelscope:
    endpoint: https://modelscope.ai/
)");
  EXPECT_EQ(config.hub_mirrors,
            (std::vector<std::string>{"https://mirror.example/hub", "http://10.0.0.1:8080"}));
  EXPECT_TRUE(config.hub_offline);
  EXPECT_EQ(config.modelscope_endpoint, "https://modelscope.ai");
  for (const char* mirrors : {"https://a", "[a]", R"(["https://a?b"])", R"(["https://u@a"])"}) {
    EXPECT_THAT(ErrorOf(std::string("sources: {huggingface: {mirrors: ") + mirrors + "}}"),
                HasSubstr("a list of at most 10"))
        << mirrors;
  }
}

TEST(DocumentTest, TakesTheKeysOfRights) {
  Config config = Parsed(R"(rights:
  policy: neverVerifyAllowlisted
  neverVerify: ["hf://org/open-*"]
  grantTtl: 0s
  recheckAfter: 77s
)");
  EXPECT_EQ(config.rights, (RightsOptions{.policy = RightsOptions::Policy::kNeverVerifyAllowlisted,
                                          .never_verify = {"hf://org/open-*"},
                                          .grant_ttl = 0s,
                                          .recheck_after = 77s}));
}

TEST(DocumentTest, AnEmptyDocumentIsTheDefaults) {
  for (const char* text : {"", "{}", "# nothing\n", "cache:\n"}) {
    EXPECT_EQ(Parsed(text).root, "/var/lib/weighhouse") << text;
  }
}

TEST(DocumentTest, TheAdminPortIsOffUnlessItIsGiven) {
  EXPECT_EQ(Parsed("").admin_listen, std::nullopt);
  EXPECT_EQ(Parsed("admin: {listen: off}").admin_listen, std::nullopt);
  EXPECT_EQ(Parsed("admin: {listen: ':0'}").admin_listen, ListenAddress());
  EXPECT_EQ(Parsed("admin: {listen: 127.0.0.1:80}").admin_listen,
            (ListenAddress{.host = "127.0.0.1", .port = 80}));
}

TEST(DocumentTest, TheAdminPortNamesNoModelUnlessItIsTold) {
  EXPECT_FALSE(Parsed("admin: {listen: ':0'}").admin_details);
  EXPECT_TRUE(Parsed("admin: {details: true}").admin_details);
  EXPECT_THAT(ErrorOf("admin: {details: names}"), HasSubstr("give true or false"));
}

TEST(DocumentTest, NamesLineKeyValueAndWhatIsAllowed) {
  EXPECT_EQ(ErrorOf("cache:\n  limit: most\n"),
            "config.yaml:2: cache.limit is 'most': give bytes of at least 1Mi, such as 500Gi, or a "
            "percentage "
            "of the filesystem such as 80%");
}

TEST(DocumentTest, SuggestsTheNearestKey) {
  EXPECT_EQ(ErrorOf("cache:\n  root: /x\n  limitt: 1Gi\n"),
            "config.yaml:3: unknown key cache.limitt: did you mean cache.limit?");
  EXPECT_THAT(ErrorOf("zebra: 1\n"), HasSubstr("unknown key zebra: known are cache.root, "));
}

TEST(DocumentTest, RefusesAKeyGivenTwice) {
  EXPECT_THAT(ErrorOf("cache:\n  limit: 1Gi\n  limit: 2Gi\n"),
              HasSubstr(":3: cache.limit is given twice"));
}

TEST(DocumentTest, RefusesWhatIsNotYaml) {
  EXPECT_THAT(ErrorOf("cache: [1, \n"), HasSubstr("not YAML"));
  EXPECT_THAT(ErrorOf("- a\n- b\n"), HasSubstr("must be a mapping"));
  EXPECT_THAT(ErrorOf("cache: {limit: 1Ti}\n---\nfill: {files: 2}\n"),
              HasSubstr("config.yaml:2: a second document"));
  EXPECT_THAT(ErrorOf(",cache: 5\n"), HasSubstr("config.yaml:1: a second document"));
  EXPECT_THAT(ErrorOf("cache: 5\n"), HasSubstr("cache must be a mapping"));
}

TEST(DocumentTest, RefusesBadValuesOfEveryKind) {
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
                           "scrub: {dailyBytes: 1Ki}",
                           "scrub: {rate: 1Ki}",
                           "scrub: {verifyRate: fast}",
                           "rights: {policy: never}",
                           "rights: {neverVerify: [org/name]}",
                           "rights: {grantTtl: 1h}",
                           "rights: {grantTtl: 2592001s}",
                           "rights: {recheckAfter: -1s}",
                           "sources: {huggingface: {endpoint: hub}}",
                           "sources: {huggingface: {endpoint: 'https://user@hub'}}",
                           "sources: {http: {allowPlain: 1}}",
                           "sources: {local: {roots: /models}}",
                           "sources: {allow: hf://org/*}",
                           "sources: {allow: [org/name]}",
                           "sources: {local: {roots: [models]}}",
                           "sources: {deny: [org/name]}",
                           "sources: {allowByNamespace: [team-a]}",
                           "sources: {denyByNamespace: ['team-a=name']}",
                           "sources: {pickle: never}",
                           "sources: {allowAddresses: 10.0.0.0/8}",
                           "sources: {allowAddresses: [host]}",
                           "sources: {caFile: authorities.pem}",
                           "sources: {proxy: {https: proxy}}",
                           "sources: {proxy: {http: 'socks5://proxy'}}",
                           "sources: {proxy: {except: ['a, b']}}",
                           "keep: hf://org/name",
                           "keep: {model: hf://org/name}",
                           "keep: [org/name]",
                           "keep: ['']",
                           "admin: {listen: localhost:9899}",
                           "admin: {listen: 9899}",
                           "admin: {listen: on}",
                           "admin: {listen: [':9899']}",
                           "log: {level: loud}",
                           "log: {format: xml}"}) {
    EXPECT_THAT(ErrorOf(text), HasSubstr("give ")) << text;
  }
}

TEST(DocumentTest, ReadsWhatSourcesMayDo) {
  Config config = Parsed(R"(
sources:
  deny: ["hf://org/secret"]
  allowByNamespace: ["team-*=hf://org/*"]
  denyByNamespace: ["kube-*=*"]
  pickle: refuse
  allowAddresses: [10.0.0.0/8, "::1"]
  caFile: /etc/authorities.pem
  proxy: {https: "http://user:pw@proxy:1", http: "http://proxy:2", except: [.svc, 10.0.0.0/8]}
)");
  EXPECT_EQ(config.deny, std::vector<std::string>{"hf://org/secret"});
  EXPECT_EQ(config.allow_by_namespace[0].pod_namespace, "team-*");
  EXPECT_EQ(config.deny_by_namespace[0].model, "*");
  EXPECT_EQ(config.pickle, source::PicklePolicy::kRefuse);
  EXPECT_EQ(config.allow_addresses[0], source::AddressRange::Parse("10.0.0.0/8").value());
  EXPECT_EQ(config.transport.ca_file, "/etc/authorities.pem");
  EXPECT_EQ(config.proxies, (source::Proxies{.http = "http://proxy:2",
                                             .https = "http://user:pw@proxy:1",
                                             .except = {".svc", "10.0.0.0/8"}}));
}

TEST(DocumentTest, NamesNoCredentialsOfAProxy) {
  std::string error = ErrorOf("sources: {proxy: {https: 'http://user:canary@proxy/path'}}");
  EXPECT_THAT(error, AllOf(HasSubstr("http://[secret]@proxy/path"), Not(HasSubstr("canary"))));
}

TEST(DocumentTest, NamesTheItemOfAListThatIsWrong) {
  EXPECT_THAT(ErrorOf("keep:\n  - hf://org/name\n  - org/other\n  - hf://org/third\n"),
              ::testing::StartsWith("config.yaml:3: keep has 'org/other': give a list of at most "
                                    "100 models, each named once, such as [hf://org/name@main]"));
  EXPECT_THAT(ErrorOf("keep:\n  - hf://org/name\n  - hf://org/a\n  - hf://org/name@main\n"),
              HasSubstr(":4: keep has 'hf://org/name@main': give"));
  EXPECT_THAT(ErrorOf("sources:\n  local:\n    roots:\n      - /a\n      - b\n"),
              HasSubstr(":5: sources.local.roots has 'b': give"));
}

TEST(DocumentTest, KeepsAHundredModelsAndNoMore) {
  std::string text = "keep:\n";
  for (int i = 0; i < 100; ++i) text += "  - hf://org/model-" + std::to_string(i) + "\n";
  Result<Document> most = ParseDocument(text, "config.yaml");
  ASSERT_TRUE(most) << most.error().message;
  EXPECT_EQ(ConfigOf(most->For({})).keep.size(), 100u);
  EXPECT_THAT(ErrorOf(text + "  - hf://org/one-more\n"),
              HasSubstr(":102: keep has 'hf://org/one-more'"));
}

TEST(DocumentTest, OneModelMayBeKeptInTwoRevisionsAndAUrlAsASha256) {
  std::string sum(64, 'a');
  Result<Document> document = ParseDocument(
      "keep: [hf://org/name, hf://org/name@v1, file:///models/a, 'https://host/f#sha256=" + sum +
          "']",
      "config.yaml");
  ASSERT_TRUE(document) << document.error().message;
  std::vector<ModelReference> keep = ConfigOf(document->For({})).keep;
  ASSERT_EQ(keep.size(), 4u);
  EXPECT_EQ(keep[1].revision, "v1");
  EXPECT_EQ(keep[3].expected_sha256->Hex(), sum);
}

TEST(DocumentTest, AnAbsentFileIsNotFound) {
  Result<std::string> absent = ReadDocument("/nonexistent/config.yaml");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Code::kNotFound);
  EXPECT_THAT(absent.error().message, HasSubstr("/nonexistent/config.yaml: No such file"));
}

TEST(DocumentTest, ReadsAFileAndAnEmptyFile) {
  std::string path = ::testing::TempDir() + "/config.XXXXXX";
  ASSERT_GE(::mkstemp(path.data()), 0);
  EXPECT_EQ(ReadDocument(path).value(), "");
  std::ofstream(path) << "log: {level: error}\n";
  EXPECT_EQ(ReadDocument(path).value(), "log: {level: error}\n");
  EXPECT_FALSE(ReadDocument(::testing::TempDir())) << "a directory is no configuration";
  ::unlink(path.c_str());
}

constexpr const char* kPools = R"(
cache: {limit: 100Gi}
sources: {local: {roots: [/models]}}
overrides:
  - match: {nodeName: "gpu-*"}
    cache: {limit: 2Ti, minFree: 30%}
  - match: {nodeName: [edge-1, "gpu-[0-9]"], nodeLabels: {pool: edge}}
    cache: {limit: 10Gi}
    sources: {local: {roots: []}}
)";

TEST(DocumentTest, OverridesCountForNodesThatMatchAllOfTheirMatch) {
  Document document = ParseDocument(kPools, "config.yaml").value();
  auto config = [&](const Node& node) { return ConfigOf(document.For(node)); };
  EXPECT_EQ(config({.name = "cpu-1", .labels = {}}).limit, (SpaceShare{.bytes = 100 * kGiB}));
  EXPECT_EQ(config({.name = "", .labels = {}}).limit, (SpaceShare{.bytes = 100 * kGiB}));
  Config gpu = config({.name = "gpu-17", .labels = {}});
  EXPECT_EQ(gpu.limit, (SpaceShare{.bytes = 2048 * kGiB}));
  EXPECT_EQ(gpu.min_free, (SpaceShare{.percent = 30}));
  EXPECT_EQ(gpu.local_roots, std::vector<std::string>{"/models"});
  EXPECT_EQ(config({.name = "edge-1", .labels = {{"pool", "gpu"}}}).limit,
            (SpaceShare{.bytes = 100 * kGiB}));
  EXPECT_EQ(config({.name = "edge-1", .labels = {{"pool", "edge"}, {"zone", "a"}}}).limit,
            (SpaceShare{.bytes = 10 * kGiB}));
}

TEST(DocumentTest, OfSeveralOverridesTheLastWinsKeyByKey) {
  Document document = ParseDocument(kPools, "config.yaml").value();
  Config both = ConfigOf(document.For({.name = "gpu-1", .labels = {{"pool", "edge"}}}));
  EXPECT_EQ(both.limit, (SpaceShare{.bytes = 10 * kGiB}));
  EXPECT_EQ(both.min_free, (SpaceShare{.percent = 30}));
  EXPECT_TRUE(both.local_roots.empty()) << "a list replaces the whole list";
}

TEST(DocumentTest, OverridesAreCheckedWhetherTheyMatchOrNot) {
  EXPECT_EQ(ErrorOf("overrides:\n  - match: {nodeName: a}\n    cache:\n      limt: 1Gi\n"),
            "config.yaml:4: unknown key cache.limt: did you mean cache.limit?");
  EXPECT_THAT(ErrorOf("overrides:\n  - match: {nodeName: a}\n    fill: {files: 0}\n"),
              HasSubstr("config.yaml:3: fill.files is '0': give a number from 1 to 64"));
  EXPECT_THAT(ErrorOf("overrides:\n  - cache: {limit: 1Gi}\n"), HasSubstr(":2: an override needs"));
  EXPECT_THAT(ErrorOf("overrides: {match: {nodeName: a}}\n"), HasSubstr("must be a list"));
  EXPECT_THAT(ErrorOf("overrides: [a]\n"), HasSubstr("must be a mapping with a match"));
  EXPECT_THAT(ErrorOf("overrides:\n  - match: {}\n"), HasSubstr("give nodeName, nodeLabels or"));
  EXPECT_THAT(ErrorOf("overrides:\n  - match: {nodeNam: a}\n"), HasSubstr("match.nodeNam"));
  EXPECT_THAT(ErrorOf("overrides:\n  - match: {nodeName: []}\n"), HasSubstr("give a pattern"));
  EXPECT_THAT(ErrorOf("overrides:\n  - match: {nodeLabels: pool}\n"), HasSubstr("give labels"));
  EXPECT_THAT(ErrorOf("overrides:\n  - match: {nodeName: a}\n    overrides: []\n"),
              HasSubstr(":3: unknown key overrides"));
  EXPECT_THAT(ErrorOf("overrides:\n  - match: {nodeName: a, nodeName: b}\n"),
              HasSubstr("match.nodeName is given twice"));
  EXPECT_THAT(ErrorOf("overrides:\n  - match: {nodeLabels: {pool: a, pool: b}}\n"),
              HasSubstr("match.nodeLabels.pool is given twice"));
  EXPECT_THAT(ErrorOf("match: {nodeName: a}\n"), HasSubstr("unknown key match"));
}

TEST(LabelsTest, AreReadFromPairs) {
  EXPECT_EQ(ParseLabels("pool=gpu, zone=a,empty=").value(),
            (std::map<std::string, std::string>{{"pool", "gpu"}, {"zone", "a"}, {"empty", ""}}));
  EXPECT_TRUE(ParseLabels("").value().empty());
  EXPECT_THAT(ParseLabels("pool").error().message, HasSubstr("'pool' is no label"));
  EXPECT_FALSE(ParseLabels("=gpu"));
}

}  // namespace
}  // namespace weighhouse::config
