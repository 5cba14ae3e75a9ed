#include "cache-daemon/source/web/file_manifest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/file_name.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;

const std::string kEntrySha256(64, 'c');

std::string ManifestOf(const std::string& entries) { return R"({"files": [)" + entries + "]}"; }

std::string EntryOf(const std::string& path, const std::string& more = "") {
  return fmt::format(R"({{"path": "{}", "sha256": "{}"{}}})", path, kEntrySha256, more);
}

TEST(FileManifestTest, ReadsPathSizeUrlAndDigest) {
  auto files = ParseManifest(ManifestOf(
      EntryOf("a/b.bin", R"(, "size": 7, "url": "https://other/x?y")") + "," + EntryOf("c")));
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->size(), 2U);
  EXPECT_EQ((*files)[0].path, "a/b.bin");
  EXPECT_EQ((*files)[0].size, 7U);
  EXPECT_EQ((*files)[0].url, "https://other/x?y");
  EXPECT_EQ((*files)[0].sha256.Hex(), kEntrySha256);
  EXPECT_FALSE((*files)[1].size);
  EXPECT_EQ((*files)[1].url, "");
}

TEST(FileManifestTest, LeavesOtherKeysAlone) {
  auto files = ParseManifest(
      R"({"version": 1, "x": {"files": [{"path": "no"}]}, "y": [{"path": "no"}, 1], "files": [)" +
      EntryOf("a", R"(, "size": 1, "meta": {"path": "b", "deep": [1, {"path": "c"}]}, "n": null)") +
      R"(], "files_after": [{"path": "d"}], "z": "files"})");
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->size(), 1U);
  EXPECT_EQ((*files)[0].path, "a");
}

TEST(FileManifestTest, RefusesWhatIsNoManifest) {
  const std::pair<std::string, const char*> kTable[] = {
      {"<html>", "is no JSON, it begins '<html>'"},
      {"", "is no JSON"},
      {"[]", "has no list of files"},
      {"{}", "has no list of files"},
      {R"({"files": {}})", "has no list of files"},
      {R"({"files": null})", "has no list of files"},
      {R"({"a": {"files": []}})", "has no list of files"},
      {ManifestOf(EntryOf("a")) + "}", "is broken JSON"},
      {ManifestOf("7"), "no object"},
      {ManifestOf("{}"), "entry 1 '', without a path"},
      {ManifestOf(EntryOf("a") + R"(, {"path": "b"})"), "entry 2 'b', without a sha256"},
      {ManifestOf(R"({"path": "b", "sha256": "00"})"), "without a sha256"},
      {ManifestOf(R"({"path": "b", "sha256": 7})"), "without a sha256"},
      {ManifestOf(EntryOf("a", R"(, "size": -1)")), "with a size that is none"},
      {ManifestOf(EntryOf("a", R"(, "size": "12")")), "with a size that is none"},
      {ManifestOf(EntryOf("a", R"(, "size": 1.5)")), "with a size that is none"},
      {ManifestOf(EntryOf("a", R"(, "url": null)")), "with a url that is none"},
      {ManifestOf(EntryOf("../a")), "'..'"},
      {ManifestOf(EntryOf("/a")), "absolute"},
      {std::string(100, '[') + std::string(100, ']'), "nested too deep"}};
  for (const auto& [json, said] : kTable) {
    auto files = ParseManifest(json);
    ASSERT_FALSE(files) << json;
    EXPECT_EQ(files.error().code, Code::kInvalidArgument) << json;
    EXPECT_THAT(files.error().message, HasSubstr(said)) << json;
  }
}

TEST(FileManifestTest, RefusesTooManyFiles) {
  std::string entries = EntryOf("f");
  for (size_t i = 0; i < kMaxFiles; ++i) entries += "," + EntryOf(fmt::format("f{}", i));
  EXPECT_THAT(ParseManifest(ManifestOf(entries)).error().message, HasSubstr("over 100000 files"));
}

}  // namespace
}  // namespace weighhouse::source
