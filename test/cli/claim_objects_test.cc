#include "cli/claim_objects.h"

#include <yaml-cpp/yaml.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "csi/claim.h"

namespace weighhouse::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

ClaimFacts Facts(std::string_view model = "hf://org/Name-7B") {
  return {.model = ModelReference::Parse(model).value(),
          .commit = std::string(40, 'c'),
          .model_bytes = 90 * kMiB,
          .recommended_bytes = kGiB,
          .limit = 500 * kGiB};
}

Json Made(const ClaimFacts& facts) { return MakeClaimObjects(facts).value(); }

/// What YAML's own reader makes of our text, with every scalar as a string.
Json Read(const YAML::Node& node) {
  if (node.IsScalar()) return node.Scalar();
  Json json = node.IsSequence() ? Json::array() : Json::object();
  if (node.IsSequence())
    for (const YAML::Node& each : node) json.push_back(Read(each));
  if (node.IsMap())
    for (const auto& each : node) json[each.first.Scalar()] = Read(each.second);
  return json;
}

TEST(ClaimObjectsTest, AreWhatKubernetesDefines) {
  Json objects = Made(Facts());
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_EQ(objects[0], Json::parse(R"({
      "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "org-name-7b"},
      "provisioner": "csi.weighhouse.dev", "volumeBindingMode": "WaitForFirstConsumer",
      "reclaimPolicy": "Delete",
      "parameters": {"model": "hf://org/Name-7B", "revision": "main"}})"));
  EXPECT_EQ(objects[1], Json::parse(R"({
      "apiVersion": "storage.k8s.io/v1", "kind": "CSIStorageCapacity",
      "metadata": {"name": "org-name-7b-new-nodes", "namespace": "weighhouse-system"},
      "storageClassName": "org-name-7b",
      "nodeTopology": {"matchLabels": {"cluster-autoscaler.kubernetes.io/template-node": "true"}},
      "capacity": "500Gi", "maximumVolumeSize": "500Gi"})"));
  EXPECT_EQ(objects[2], Json::parse(R"({
      "apiVersion": "v1", "kind": "PersistentVolumeClaim",
      "metadata": {"name": "org-name-7b", "namespace": "default"},
      "spec": {"storageClassName": "org-name-7b", "accessModes": ["ReadOnlyMany"],
               "resources": {"requests": {"storage": "1Gi"}}}})"));
}

ClaimFacts EveryOption() {
  ClaimFacts facts = Facts("hf://org/name@v1");
  facts.model.allow_patterns = {"*.json", "a,b", "*.safetensors"};
  facts.model.ignore_patterns = {"\"quoted\\*\""};
  facts.layout = Layout::kHub;
  facts.options = {.scratch = true,
                   .scratch_size = "1.5Gi",
                   .cached_only = true,
                   .placement = "any",
                   .name = "",
                   .namespace_ = "team",
                   .access_mode = "ReadWriteOnce"};
  return facts;
}

TEST(ClaimObjectsTest, SayAllThatWasAskedFor) {
  Json objects = Made(EveryOption());
  ASSERT_EQ(objects.size(), 2u) << "a node that is yet to be added has nothing cached";
  const Json& parameters = objects[0]["parameters"];
  EXPECT_EQ(parameters["layout"], "hub");
  EXPECT_EQ(parameters["access"], "scratch");
  EXPECT_EQ(parameters["scratchSize"], "1.5Gi");
  EXPECT_EQ(parameters["cachedOnly"], "true");
  EXPECT_EQ(parameters["placement"], "any");
  EXPECT_EQ(objects[1]["metadata"]["namespace"], "team");
  EXPECT_EQ(objects[1]["spec"]["accessModes"], Json::array({"ReadWriteOnce"}));
  EXPECT_THAT(objects[0]["metadata"]["name"].get<std::string>(),
              StartsWith("org-name-v1-hub-scratch-cached-any-"));
}

TEST(ClaimObjectsTest, ArePlainYamlThatReadsAsTheObjects) {
  for (const ClaimFacts& facts :
       {Facts(), EveryOption(), Facts("file:///mnt/a b#c: d"),
        Facts("https://h.example/x?a=%20&b=1#sha256=" + std::string(64, 'e'))}) {
    for (const Json& each : Made(facts)) {
      std::string text = ToYaml(each, ClaimComments(facts, each));
      EXPECT_EQ(Read(YAML::Load(text)), each) << text;
      EXPECT_THAT(text, StartsWith("# "));
      for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
        EXPECT_LE(text.find('\n', at) - at, 120u) << text.substr(at, 130);
    }
  }
}

/// A yaml string, as YAML 1.1 tells it from other values.
TEST(ClaimObjectsTest, QuoteWhatYamlTakesForSomethingElse) {
  Json object{{"a", "true"},  {"b", "Off"},  {"c", "12"},       {"d", "1e3"},
              {"e", "500Gi"}, {"f", "a: b"}, {"g", "a #b"},     {"h", ""},
              {"i", "-a"},    {"j", "a\nb"}, {"k", "hf://a/b"}, {"l", "x:y"}};
  EXPECT_EQ(
      ToYaml(object, {{"", "two\n\nlines"}, {"/e", "size"}}),
      "# two\n#\n# lines\na: \"true\"\nb: \"Off\"\nc: \"12\"\nd: \"1e3\"\n# size\ne: 500Gi\n"
      "f: \"a: b\"\ng: \"a #b\"\nh: \"\"\ni: \"-a\"\nj: \"a\\nb\"\nk: hf://a/b\nl: \"x:y\"\n");
}

TEST(ClaimObjectsTest, HaveParametersThatThePluginTakes) {
  ClaimFacts facts = EveryOption();
  csi::StringMap parameters = Made(facts)[0]["parameters"];
  auto read = csi::ClassParameters::Parse(parameters).value();
  EXPECT_EQ(read.context.model, facts.model);
  EXPECT_EQ(read.context.layout, Layout::kHub);
  EXPECT_EQ(read.context.scratch_size, 1536 * kMiB);
  EXPECT_TRUE(read.cached_only);
  EXPECT_EQ(read.placement, csi::Placement::kAny);
  parameters = Made(Facts())[0]["parameters"];
  read = csi::ClassParameters::Parse(parameters).value();
  EXPECT_EQ(read.context.model.RevisionOrDefault(), "main");
}

TEST(ClaimObjectsTest, DifferInNameWhereParametersDo) {
  auto name = [](const ClaimFacts& facts) -> std::string {
    return Made(facts)[0]["metadata"]["name"];
  };
  ClaimFacts patterns = Facts(), other_patterns = Facts();
  patterns.model.allow_patterns = {"*.json"};
  other_patterns.model.allow_patterns = {"*.txt"};
  EXPECT_NE(name(patterns), name(other_patterns));
  EXPECT_NE(name(patterns), name(Facts()));
  ClaimFacts given = Facts();
  given.options.name = "mine";
  EXPECT_EQ(name(given), "mine");
  EXPECT_EQ(Made(given)[1]["metadata"]["name"], "mine-new-nodes");
}

TEST(ClaimObjectsTest, AskForNoMoreThanAnEmptyNodeTakes) {
  ClaimFacts facts = Facts();
  facts.limit = 91 * kMiB;
  Json objects = Made(facts);
  EXPECT_EQ(objects[1]["maximumVolumeSize"], "91Mi");
  EXPECT_EQ(objects[2]["spec"]["resources"]["requests"]["storage"], "91Mi");
  facts.limit = 90 * kMiB - 1;
  Result<Json> refused = MakeClaimObjects(facts);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kOutOfRange);
  EXPECT_THAT(refused.error().message, HasSubstr("hf://org/Name-7B takes 90.0 MiB"));
  facts.options.cached_only = true;
  EXPECT_TRUE(MakeClaimObjects(facts)) << "no empty node is asked";
}

TEST(ClaimObjectsTest, RefusePatternsThatAVolumeCannotHave) {
  ClaimFacts facts = Facts();
  for (std::vector<std::string> bad : {std::vector<std::string>{""},
                                       {"a\nb"},
                                       {std::string(257, 'a')},
                                       std::vector<std::string>(65, "a")}) {
    facts.model.allow_patterns = bad;
    Result<Json> refused = MakeClaimObjects(facts);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr("--allow"));
  }
  facts.model.allow_patterns = std::vector<std::string>(30, std::string(200, 'a'));
  EXPECT_THAT(MakeClaimObjects(facts).error().message, HasSubstr("at most 4019"));
}

TEST(ClaimObjectsTest, CountInTheLargestUnitThatIsExact) {
  EXPECT_EQ(Quantity(0), "0");
  EXPECT_EQ(Quantity(1023), "1023");
  EXPECT_EQ(Quantity(1536), "1536");
  EXPECT_EQ(Quantity(3 * kKiB), "3Ki");
  EXPECT_EQ(Quantity(1536 * kMiB), "1536Mi");
  EXPECT_EQ(Quantity(2048 * kGiB), "2Ti");
  EXPECT_EQ(Quantity(uint64_t{1} << 62), "4096Pi");
}

}  // namespace
}  // namespace weighhouse::cli
