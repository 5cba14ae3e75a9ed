#include <yaml-cpp/yaml.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "test/cli/served_engine.h"

namespace weighhouse::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class StorageClassProgramTest : public ServedEngineTest {
 protected:
  StorageClassProgramTest() {
    StatView view;
    view.listing.revision = std::string(40, 'c');
    view.bytes_selected = 2 * kGiB + 1;
    view.recommended_claim = 3 * kGiB;
    engine_.stat_outcome = view;
    engine_.space = store::SpaceSums{
        .limit = 100 * kGiB, .filesystem_total = 200 * kGiB, .min_free = 40 * kGiB};
  }
};

TEST_F(StorageClassProgramTest, PrintsDocumentsForKubectl) {
  ProgramResult result = Run({"storageclass", "hf://org/name"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  std::vector<YAML::Node> documents = YAML::LoadAll(result.out);
  ASSERT_EQ(documents.size(), 3u) << result.out;
  EXPECT_EQ(documents[0]["kind"].Scalar(), "StorageClass");
  EXPECT_EQ(documents[1]["maximumVolumeSize"].Scalar(), "100Gi");
  EXPECT_EQ(documents[2]["spec"]["resources"]["requests"]["storage"].Scalar(), "3Gi");
  EXPECT_THAT(result.out, HasSubstr(std::string(40, 'c')));
}

TEST_F(StorageClassProgramTest, PrintsOneListAsJson) {
  ProgramResult result = Run({"storageclass", "hf://org/name", "--output", "json"});
  json list = json::parse(result.out);
  EXPECT_EQ(list["kind"], "List");
  EXPECT_EQ(list["apiVersion"], "v1");
  ASSERT_EQ(list["items"].size(), 3u);
  EXPECT_EQ(list["items"][2]["kind"], "PersistentVolumeClaim");
}

TEST_F(StorageClassProgramTest, AsksWithPatternsRevisionAndToken) {
  ProgramResult result = Run({"storageclass",   "hf://org/name", "--revision",  "v1",
                              "--allow",        "*.json",        "--ignore",    "x",
                              "--layout",       "hub",           "--access",    "scratch",
                              "--scratch-size", "2Gi",           "--placement", "any",
                              "--name",         "mine",          "--namespace", "team",
                              "--access-mode",  "ReadWriteOnce", "--limit",     "900Gi",
                              "--output",       "json"},
                             {"HF_TOKEN=hf_secret"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_TRUE(engine_.stat_model);
  EXPECT_EQ(engine_.stat_model->revision, "v1");
  EXPECT_EQ(engine_.stat_model->allow_patterns, std::vector<std::string>{"*.json"});
  EXPECT_EQ(engine_.stat_model->ignore_patterns, std::vector<std::string>{"x"});
  EXPECT_EQ(engine_.stat_credentials.values.at("HF_TOKEN"), "hf_secret");
  json items = json::parse(result.out)["items"];
  EXPECT_EQ(items[0]["parameters"]["scratchSize"], "2Gi");
  EXPECT_EQ(items[1]["maximumVolumeSize"], "900Gi");
  EXPECT_EQ(items[2]["metadata"], json::parse(R"({"name": "mine", "namespace": "team"})"));
  EXPECT_THAT(result.out, ::testing::Not(HasSubstr("hf_secret")));
}

TEST_F(StorageClassProgramTest, AnEmptyNodeTakesNoMoreThanItsFilesystemLeaves) {
  auto taken = [this](Bytes limit, Bytes filesystem, Bytes min_free) {
    engine_.space =
        store::SpaceSums{.limit = limit, .filesystem_total = filesystem, .min_free = min_free};
    json list = json::parse(Run({"storageclass", "hf://org/name", "--output", "json"}).out);
    return list.contains("items") ? list["items"][1]["maximumVolumeSize"] : list["error"]["code"];
  };
  EXPECT_EQ(taken(200 * kGiB, 200 * kGiB, 40 * kGiB), "160Gi") << "as by default";
  EXPECT_EQ(taken(160 * kGiB - 1, 200 * kGiB, 40 * kGiB), std::to_string(160 * kGiB - 1));
  EXPECT_EQ(taken(100 * kGiB, 30 * kGiB, 40 * kGiB), "OUT_OF_RANGE") << "nothing, not 2^64";
}

TEST_F(StorageClassProgramTest, ForCachedOnlyThereIsNoCapacityOfNewNodes) {
  engine_.space = Fail(Code::kInternal, "nobody should ask");
  ProgramResult result = Run({"storageclass", "hf://org/name", "--cached-only"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(YAML::LoadAll(result.out).size(), 2u);
}

TEST_F(StorageClassProgramTest, AModelThatNoEmptyNodeTakesIsOneError) {
  ProgramResult result = Run({"storageclass", "hf://org/name", "--limit", "1Gi"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, StartsWith("weighhouse: hf://org/name"));
  EXPECT_THAT(result.err, HasSubstr("takes 2.0 GiB, and an empty node's cache takes 1.0 GiB"));
}

TEST_F(StorageClassProgramTest, WhatTheSourceSaysIsTheError) {
  engine_.stat_outcome = Fail(Code::kNotFound, "hf://org/name: no such model");
  ProgramResult result = Run({"storageclass", "hf://org/name"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "weighhouse: hf://org/name: no such model\n");
}

TEST_F(StorageClassProgramTest, AMalformedModelIsWrongUsage) {
  ProgramResult result = Run({"storageclass", "org/name"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("did you mean hf://org/name?"));
}

}  // namespace
}  // namespace weighhouse::cli
