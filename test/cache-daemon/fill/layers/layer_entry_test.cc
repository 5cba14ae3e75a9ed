#include "cache-daemon/fill/layers/layer_entry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::fill {
namespace {

using Type = TarEntry::Type;
using Kind = store::LayerEntry::Kind;

/// "file a/b", "whiteout a", "opaque ", "-" for what doesn't count, or the error.
std::string Judged(const std::string& path, Type type, const std::string& prefix) {
  auto judged = JudgeEntry({.type = type, .path = path, .size = 3}, prefix);
  if (!judged) return judged.error().message;
  if (!*judged) return "-";
  const char* kKinds[] = {"file ", "whiteout ", "opaque "};
  return kKinds[static_cast<int>((*judged)->kind)] + (*judged)->path;
}
std::string InImage(const std::string& path, Type type = Type::kFile) {
  return Judged(path, type, "models/");
}
std::string InArchive(const std::string& path, Type type = Type::kFile) {
  return Judged(path, type, "");
}

TEST(LayerEntryTest, OfAnImageOnlyTheModelCounts) {
  EXPECT_EQ(InImage("models/a/b.json"), "file a/b.json");
  EXPECT_EQ(InImage("./models/a"), "file a");
  for (const char* path : {"etc/passwd", "modelsa", "model", "a/models/b", "models"}) {
    EXPECT_EQ(InImage(path, Type::kDirectory), "-") << path;
    if (std::string(path) == "models") continue;
    EXPECT_EQ(InImage(path), "-") << path;
  }
  for (Type type : {Type::kHardLink, Type::kSymbolicLink, Type::kOther}) {
    EXPECT_EQ(InImage("bin/sh", type), "-");
    EXPECT_THAT(InImage("models/a", type), testing::HasSubstr("refused"));
    EXPECT_THAT(InImage("models", type), testing::HasSubstr("refused"));
  }
  EXPECT_THAT(InImage("models"), testing::HasSubstr("refused"));
}

TEST(LayerEntryTest, OfAnArchiveAllCounts) {
  EXPECT_EQ(InArchive("a"), "file a");
  EXPECT_EQ(InArchive("./models/a"), "file models/a");
  EXPECT_EQ(InArchive("d/", Type::kDirectory), "-");
  // They hide nothing there.
  EXPECT_EQ(InArchive(".wh.a"), "file .wh.a");
  for (Type type : {Type::kHardLink, Type::kSymbolicLink, Type::kOther}) {
    EXPECT_THAT(InArchive("a", type), testing::HasSubstr("refused"));
  }
}

TEST(LayerEntryTest, NoNameLeavesTheTree) {
  for (const char* path : {"../a", "a/../../b", "models/../a", "models/..", "..", "/a", "/models/a",
                           ".//models/a", "./../a", "etc/../models/a"}) {
    EXPECT_THAT(InImage(path), testing::HasSubstr("refused")) << path;
    EXPECT_THAT(InArchive(path), testing::HasSubstr("refused")) << path;
    EXPECT_THAT(InImage(path, Type::kDirectory), testing::HasSubstr("refused")) << path;
  }
  for (const char* path : {"models/a//b", "models/a/./b", "models//a", "models/a\\b", "models/\x1b",
                           "models/\xff", "models/.wh.", "models/.wh..", "models/.wh..."}) {
    EXPECT_THAT(InImage(path), testing::HasSubstr("refused")) << path;
  }
  EXPECT_THAT(InImage("models/" + std::string(256, 'a')), testing::HasSubstr("refused"));
}

TEST(LayerEntryTest, WhiteoutsHideWhatIsBelow) {
  EXPECT_EQ(InImage("models/.wh.a"), "whiteout a");
  EXPECT_EQ(InImage("models/b/.wh.a.json"), "whiteout b/a.json");
  EXPECT_EQ(InImage("models/.wh..wh..opq"), "opaque ");
  EXPECT_EQ(InImage("models/b/.wh..wh..opq"), "opaque b");
  // All of the model, with what it lies in.
  EXPECT_EQ(InImage(".wh.models"), "opaque ");
  EXPECT_EQ(InImage(".wh..wh..opq"), "opaque ");
  EXPECT_EQ(InImage("etc/.wh.models"), "-");
  EXPECT_EQ(InImage("etc/.wh..wh..opq"), "-");
  EXPECT_EQ(InImage(".wh.model"), "-");
}

}  // namespace
}  // namespace weighhouse::fill
