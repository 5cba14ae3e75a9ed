#include "cli/keep_patch.h"

#include <yaml-cpp/yaml.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace weighhouse::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kA = "hf://org/a";
constexpr const char* kB = "hf://org/b@v1";

std::string Added(const std::string& text, const std::vector<std::string>& models) {
  Result<std::string> changed = EditKeep(text, "c.yaml", KeepEdit::kAdd, models);
  return changed ? *changed : "error: " + changed.error().message;
}

std::string Removed(const std::string& text, const std::vector<std::string>& models) {
  Result<std::string> changed = EditKeep(text, "c.yaml", KeepEdit::kRemove, models);
  return changed ? *changed : "error: " + changed.error().message;
}

Code CodeOf(const std::string& text, KeepEdit edit, const std::vector<std::string>& models) {
  Result<std::string> changed = EditKeep(text, "c.yaml", edit, models);
  return changed ? Code::kUnknown : changed.error().code;
}

TEST(KeepPatchTest, AddsAListWhereThereIsNone) {
  EXPECT_EQ(Added("", {kA}), "keep:\n- \"hf://org/a\"\n");
  EXPECT_EQ(Added("# mine\ncache:\n  limit: 1Ti # all\n", {kA, kB}),
            "# mine\ncache:\n  limit: 1Ti # all\nkeep:\n- \"hf://org/a\"\n- \"hf://org/b@v1\"\n");
  EXPECT_EQ(Added("cache: {limit: 1Ti}", {kA}), "cache: {limit: 1Ti}\nkeep:\n- \"hf://org/a\"\n")
      << "the last line had no end";
}

TEST(KeepPatchTest, AddsItWhereTheDaemonSetHasItCommentedOut) {
  EXPECT_EQ(
      Added("fill:\n  #files: 8\n# What stays.\n#keep: []\nscrub:\n  rate: 1Gi\n", {kA}),
      "fill:\n  #files: 8\n# What stays.\n#keep: []\nkeep:\n- \"hf://org/a\"\nscrub:\n  rate: "
      "1Gi\n");
}

TEST(KeepPatchTest, EveryCommentStays) {
  std::string text =
      "# above\nkeep: # here\n  # of a\n  - hf://org/a # why\n\n  # of c\n  - \"hf://org/c\"\n"
      "# of the log\nlog:\n  level: info\n";
  EXPECT_EQ(Added(text, {kB}),
            "# above\nkeep: # here\n  # of a\n  - hf://org/a # why\n\n  # of c\n  - "
            "\"hf://org/c\"\n  - \"hf://org/b@v1\"\n# of the log\nlog:\n  level: info\n");
  EXPECT_EQ(
      Removed(text, {"hf://org/c"}),
      "# above\nkeep: # here\n  # of a\n  - hf://org/a # why\n\n  # of c\n# of the log\nlog:\n"
      "  level: info\n");
}

TEST(KeepPatchTest, TheLastOneThatGoesLeavesAnEmptyList) {
  EXPECT_EQ(Removed("keep:\n- hf://org/a\n- hf://org/b@v1\nlog:\n  level: info\n", {kB, kA}),
            "keep: []\nlog:\n  level: info\n");
}

TEST(KeepPatchTest, AListInBracketsIsWrittenAnew) {
  EXPECT_EQ(Added("keep: [hf://org/a,\n  hf://org/c]\nlog: {level: info}\n", {kB}),
            "keep:\n- \"hf://org/a\"\n- \"hf://org/c\"\n- \"hf://org/b@v1\"\nlog: {level: info}\n");
  EXPECT_EQ(Removed("keep: [hf://org/a, hf://org/c]\n", {kA}), "keep:\n- \"hf://org/c\"\n");
}

TEST(KeepPatchTest, AFileInFlowStyleIsItsAuthorsToChange) {
  std::string said = Added("{\"log\": {\"level\": \"info\"}}", {kA});
  EXPECT_THAT(said, AllOf(HasSubstr("c.yaml can't be changed line by line"),
                          HasSubstr("set keep in it to [hf://org/a] by hand")));
  said = Added("{\nkeep: [hf://org/b@v1],\nlog: {level: info}}\n", {kA});
  EXPECT_THAT(said, HasSubstr("[hf://org/b@v1, hf://org/a] by hand"));
}

TEST(KeepPatchTest, WhatIsOnTheListIsNotAddedAgain) {
  EXPECT_EQ(CodeOf("keep: [hf://org/a]\n", KeepEdit::kAdd, {kA}), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf("keep: [\"hf://org/b:v1\"]\n", KeepEdit::kAdd, {kB}), Code::kAlreadyExists)
      << "the same in other words";
  EXPECT_EQ(Added("keep:\n- hf://org/a\n", {kA, kB, kB}),
            "keep:\n- hf://org/a\n- \"hf://org/b@v1\"\n");
}

TEST(KeepPatchTest, WhatIsNotOnTheListCannotGo) {
  EXPECT_EQ(CodeOf("keep: [hf://org/a]\n", KeepEdit::kRemove, {kA, kB}), Code::kNotFound);
  EXPECT_THAT(Removed("keep: [hf://org/a]\n", {kB}),
              HasSubstr("hf://org/b@v1 is not on the list of what is kept: hf://org/a"));
  EXPECT_THAT(Removed("", {kB}), HasSubstr("it is empty"));
}

TEST(KeepPatchTest, RefusesWhatTheDaemonWould) {
  EXPECT_THAT(Added("", {"nonsense"}), HasSubstr("nonsense"));
  EXPECT_EQ(CodeOf("", KeepEdit::kAdd, {"nonsense"}), Code::kInvalidArgument);
  EXPECT_THAT(Added("cache:\n  limitt: 1\n", {kA}), HasSubstr("c.yaml:2: unknown key"));
  std::vector<std::string> many;
  for (int i = 0; i <= 100; ++i) many.push_back("hf://org/m" + std::to_string(i));
  EXPECT_THAT(Added("", many), HasSubstr("a list of at most 100 models"));
  EXPECT_EQ(CodeOf("", KeepEdit::kAdd, many), Code::kInvalidArgument);
}

TEST(KeepPatchTest, OverridesStayAndTheirListsAreTheirs) {
  std::string text =
      "overrides:\n- match: {nodeName: gpu-*}\n  keep:\n  - hf://org/a\n- match: {nodeName: b}\n"
      "  log: {level: debug}\n";
  EXPECT_EQ(Added(text, {kA}), text + "keep:\n- \"hf://org/a\"\n");
  EXPECT_EQ(CodeOf(text, KeepEdit::kRemove, {kA}), Code::kNotFound);
}

TEST(KeepPatchTest, APatchIsYamlThatGivesBackTheFile) {
  std::string text = "  # indented first\ncache:\n  limit: 1Ti\n\nlog: {level: \"info\"}\n";
  YAML::Node patch = YAML::Load(ConfigMapPatch(text));
  EXPECT_EQ(patch.size(), 1u);
  EXPECT_EQ(patch["data"]["config.yaml"].as<std::string>(), text);
  EXPECT_EQ(ConfigMapPatchJson(text)["data"]["config.yaml"], text);
}

}  // namespace
}  // namespace weighhouse::cli
