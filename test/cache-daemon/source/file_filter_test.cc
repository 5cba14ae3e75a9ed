#include "cache-daemon/source/file_filter.h"

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using testing::Contains;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using Paths = std::vector<std::string>;

Listing ListingOf(const Paths& paths) {
  Listing listing;
  for (const std::string& path : paths) listing.files.push_back({.path = path, .size = 1});
  return listing;
}

Paths PathsOf(const Listing& listing) {
  Paths paths;
  for (const ListedFile& file : listing.files) paths.push_back(file.path);
  return paths;
}

Paths Taken(const Paths& paths, const ModelReference& reference = {}) {
  Result<Listing> taken = ApplyPatterns(ListingOf(paths), reference);
  EXPECT_TRUE(taken) << taken.error().message;
  return taken ? PathsOf(*taken) : Paths{};
}

Paths Without(Paths paths, const Paths& dropped) {
  for (const std::string& path : dropped) EXPECT_EQ(std::erase(paths, path), 1U) << path;
  return paths;
}

const Paths kLlama = {".gitattributes",
                      "LICENSE",
                      "README.md",
                      "USE_POLICY.md",
                      "config.json",
                      "generation_config.json",
                      "model-00001-of-00004.safetensors",
                      "model-00002-of-00004.safetensors",
                      "model-00003-of-00004.safetensors",
                      "model-00004-of-00004.safetensors",
                      "model.safetensors.index.json",
                      "original/consolidated.00.pth",
                      "original/params.json",
                      "original/tokenizer.model",
                      "special_tokens_map.json",
                      "tokenizer.json",
                      "tokenizer_config.json"};

const Paths kGptOss = {".gitattributes",
                       "LICENSE",
                       "README.md",
                       "USAGE_POLICY",
                       "chat_template.jinja",
                       "config.json",
                       "generation_config.json",
                       "metal/model.bin",
                       "model-00000-of-00002.safetensors",
                       "model-00001-of-00002.safetensors",
                       "model-00002-of-00002.safetensors",
                       "model.safetensors.index.json",
                       "original/config.json",
                       "original/dtypes.json",
                       "original/model.safetensors",
                       "special_tokens_map.json",
                       "tokenizer.json",
                       "tokenizer_config.json"};

const Paths kMiniLm = {".gitattributes",
                       "1_Pooling/config.json",
                       "README.md",
                       "config.json",
                       "config_sentence_transformers.json",
                       "data_config.json",
                       "model.safetensors",
                       "modules.json",
                       "onnx/model.onnx",
                       "onnx/model_O1.onnx",
                       "onnx/model_qint8_avx512.onnx",
                       "openvino/openvino_model.bin",
                       "openvino/openvino_model.xml",
                       "pytorch_model.bin",
                       "rust_model.ot",
                       "sentence_bert_config.json",
                       "special_tokens_map.json",
                       "tf_model.h5",
                       "tokenizer.json",
                       "tokenizer_config.json",
                       "train_script.py",
                       "vocab.txt"};

const Paths kMistral = {".gitattributes",
                        "README.md",
                        "config.json",
                        "consolidated.safetensors",
                        "generation_config.json",
                        "model-00001-of-00003.safetensors",
                        "model-00002-of-00003.safetensors",
                        "model-00003-of-00003.safetensors",
                        "model.safetensors.index.json",
                        "params.json",
                        "special_tokens_map.json",
                        "tokenizer.json",
                        "tokenizer.model",
                        "tokenizer.model.v3",
                        "tokenizer_config.json"};

TEST(MatchesPatternTest, IsFnmatchWhereTheStarCrossesSlashes) {
  EXPECT_TRUE(MatchesPattern("*.json", "a/b/c.json"));
  EXPECT_TRUE(MatchesPattern("original/*", "original/a/b"));
  EXPECT_FALSE(MatchesPattern("original/**/*", "original/consolidated.00.pth"));
  EXPECT_TRUE(MatchesPattern("model-0000[12]*", "model-00001-of-2.safetensors"));
  EXPECT_FALSE(MatchesPattern("model-0000[!12]*", "model-00001-of-2.safetensors"));
  EXPECT_TRUE(MatchesPattern("?.txt", "a.txt"));
}

TEST(MatchesPatternTest, CountsCaseAndTakesBackslashesAsTheyAre) {
  EXPECT_FALSE(MatchesPattern("*.JSON", "a.json"));
  EXPECT_FALSE(MatchesPattern("\\*", "*"));
}

TEST(MatchesPatternTest, TakesASlashAtTheEndAsEverythingBelow) {
  EXPECT_TRUE(MatchesPattern("onnx/", "onnx/model.onnx"));
  EXPECT_FALSE(MatchesPattern("onnx/", "onnx"));
}

TEST(MatchesPatternTest, HasNoPatternThatTakesForever) {
  std::string pattern, path(4000, 'a');
  while (pattern.size() < 498) pattern += "*a";
  pattern += "b";
  auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(MatchesPattern(pattern, path));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
}

TEST(DefaultFilterTest, DropsLlamasOriginalWeights) {
  EXPECT_THAT(Taken(kLlama), ElementsAreArray(Without(
                                 kLlama, {".gitattributes", "original/consolidated.00.pth",
                                          "original/params.json", "original/tokenizer.model"})));
}

TEST(DefaultFilterTest, DropsGptOssOriginalAndMetalWeights) {
  EXPECT_THAT(Taken(kGptOss),
              ElementsAreArray(
                  Without(kGptOss, {".gitattributes", "metal/model.bin", "original/config.json",
                                    "original/dtypes.json", "original/model.safetensors"})));
}

TEST(DefaultFilterTest, DropsMiniLmsCopiesAndKeepsItsSubModules) {
  EXPECT_THAT(Taken(kMiniLm),
              ElementsAreArray(
                  Without(kMiniLm, {".gitattributes", "onnx/model.onnx", "onnx/model_O1.onnx",
                                    "onnx/model_qint8_avx512.onnx", "openvino/openvino_model.bin",
                                    "openvino/openvino_model.xml", "pytorch_model.bin",
                                    "rust_model.ot", "tf_model.h5"})));
}

TEST(DefaultFilterTest, KeepsMistralsConsolidatedWeightsBecauseTheyChooseTheLoader) {
  EXPECT_THAT(Taken(kMistral), ElementsAreArray(Without(kMistral, {".gitattributes"})));
}

TEST(DefaultFilterTest, LeavesModelsWithoutSafetensorsAlone) {
  Paths paths = {".gitattributes", "config.json", "model.gguf", "onnx/model.onnx",
                 "pytorch_model.bin"};
  EXPECT_EQ(Taken(paths), paths);
}

TEST(DefaultFilterTest, CountsNoSafetensorsInDirectoriesThatItDrops) {
  Paths paths = {"config.json", "original/model.safetensors", "pytorch_model.bin"};
  EXPECT_EQ(Taken(paths), paths);
}

TEST(DefaultFilterTest, DropsDuplicatesPerDirectory) {
  EXPECT_EQ(
      Taken({"2_Dense/pytorch_model.bin", "3_Dense/model.safetensors", "3_Dense/pytorch_model.bin",
             "flow.pt", "llm/model.safetensors", "llm/speech.onnx", "unet/model.bin"}),
      (Paths{"2_Dense/pytorch_model.bin", "3_Dense/model.safetensors", "flow.pt",
             "llm/model.safetensors", "unet/model.bin"}));
}

TEST(DefaultFilterTest, KeepsWeightsThatNoOtherFileHolds) {
  Paths paths = {"mm_projector.bin", "model.safetensors", "non_lora_trainables.json"};
  EXPECT_EQ(Taken(paths), paths);
}

TEST(DefaultFilterTest, DropsWhatATrainingRunLeftAndKeepsCode) {
  EXPECT_EQ(Taken({"checkpoint-5/optimizer.pt", "checkpoint-5/scheduler.pt", "figures/a.png",
                   "model.safetensors", "modeling_x.py", "optimizer.py", "q/model-q4.gguf",
                   "runs/events.out", "training_args.bin"}),
            (Paths{"model.safetensors", "modeling_x.py", "optimizer.py"}));
}

TEST(ApplyPatternsTest, TakesAnAllowListAtItsWord) {
  EXPECT_EQ(Taken(kMiniLm, {.allow_patterns = Paths{"onnx/model.onnx", "*.bin", "config.json"}}),
            (Paths{"config.json", "onnx/model.onnx", "openvino/openvino_model.bin",
                   "pytorch_model.bin"}));
  EXPECT_EQ(Taken(kMiniLm, {.allow_patterns = Paths{"*"}}), kMiniLm);
}

TEST(ApplyPatternsTest, PutsAnIgnoreListInTheDefaultsPlace) {
  EXPECT_EQ(Taken(kLlama, {.ignore_patterns = Paths{"*.safetensors*"}}).size(), kLlama.size() - 5);
  EXPECT_EQ(Taken(kLlama, {.ignore_patterns = Paths{}}), kLlama);
}

TEST(ApplyPatternsTest, LetsIgnoreWin) {
  EXPECT_EQ(Taken({"a.json", "b.json", "c.txt"},
                  {.allow_patterns = Paths{"*.json"}, .ignore_patterns = Paths{"b*"}}),
            Paths{"a.json"});
}

TEST(ApplyPatternsTest, KeepsTheDefaultsWithAnEmptyAllowList) {
  EXPECT_THAT(Taken(kLlama, {.allow_patterns = Paths{}}), Not(Contains("original/params.json")));
}

TEST(ApplyPatternsTest, KeepsOriginAndRevision) {
  Listing listing = ListingOf({"a"});
  listing.origin = "o";
  listing.revision = "r";
  listing.repository = "n";
  listing.anonymous = true;
  Result<Listing> taken = ApplyPatterns(listing, {});
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->SnapshotId(), listing.SnapshotId());
  EXPECT_EQ(taken->repository, "n");
  EXPECT_TRUE(taken->anonymous);
}

TEST(ApplyPatternsTest, SaysWhichPatternsLeaveNothing) {
  auto outcome = ApplyPatterns(ListingOf({"a"}), {.allow_patterns = Paths{"*.json", "x"}});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kInvalidArgument);
  EXPECT_THAT(outcome.error().message, HasSubstr("[*.json, x]"));
  outcome = ApplyPatterns(ListingOf({"a"}), {.ignore_patterns = Paths{"*"}});
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message, HasSubstr("ignorePatterns [*]"));
}

TEST(ApplyPatternsTest, RefusesListsBeyondItsBounds) {
  Listing listing = ListingOf({"a"});
  EXPECT_TRUE(ApplyPatterns(listing, {.allow_patterns = Paths(100, "*")}));
  for (const Paths& bad :
       {Paths(101, "*"), Paths{std::string(501, '*')}, Paths{""}, Paths{std::string("a\0", 2)}}) {
    EXPECT_FALSE(ApplyPatterns(listing, {.allow_patterns = bad}));
    EXPECT_FALSE(ApplyPatterns(listing, {.ignore_patterns = bad}));
  }
}

}  // namespace
}  // namespace weighhouse::source
