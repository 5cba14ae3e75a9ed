#include "cache-daemon/fill/layers/whole_listing.h"

#include <gtest/gtest.h>

namespace weighhouse::fill {
namespace {

using Kind = store::LayerEntry::Kind;
using Entries = std::vector<store::LayerEntry>;

store::LayerEntry File(const std::string& path) { return {.path = path, .size = path.size()}; }

/// "path@layer" of each file.
std::vector<std::string> Shown(const std::vector<Entries>& layers) {
  std::vector<KnownLayer> known;
  for (const Entries& entries : layers) {
    std::string digest = Digest::Of(std::to_string(known.size())).Hex();
    known.push_back({.layer = {.digest = digest, .size = 5, .diff_id = {}, .prefix = "models/"},
                     .record = {.digest = digest, .entries = entries}});
  }
  std::vector<std::string> shown;
  for (const ListedFile& file : Overlay(known)) {
    auto place = LayerPlace::Parse(file.identity.value);
    EXPECT_TRUE(place && place->path == file.path && place->prefix == "models/");
    for (size_t i = 0; i < known.size(); ++i) {
      if (place && known[i].layer.digest == place->digest) {
        shown.push_back(file.path + "@" + std::to_string(i));
      }
    }
  }
  return shown;
}
using Files = std::vector<std::string>;

TEST(OverlayTest, LaterFilesTakeThePlaceOfEarlierOnes) {
  EXPECT_EQ(Shown({{File("b"), File("a/c")}, {File("b")}}), (Files{"a/c@0", "b@1"}));
  EXPECT_EQ(Shown({{File("b"), File("b")}}), (Files{"b@0"}));
  EXPECT_EQ(Shown({}), Files{});
}

TEST(OverlayTest, FilesAndDirectoriesTakeEachOthersPlace) {
  EXPECT_EQ(Shown({{File("a/b"), File("a/c"), File("a0")}, {File("a")}}), (Files{"a@1", "a0@0"}));
  EXPECT_EQ(Shown({{File("a"), File("a-")}, {File("a/b/c")}}), (Files{"a-@0", "a/b/c@1"}));
}

TEST(OverlayTest, WhiteoutsHideLowerLayersOnly) {
  EXPECT_EQ(Shown({{File("a"), File("b/c"), File("b/d")},
                   {File("b/e"),
                    {.kind = Kind::kWhiteout, .path = "b"},
                    {.kind = Kind::kWhiteout, .path = "a"}}}),
            (Files{"b/e@1"}));
  EXPECT_EQ(Shown({{File("b/c"), File("b/d"), File("ba")},
                   {{.kind = Kind::kOpaque, .path = "b"}, File("b/c")}}),
            (Files{"b/c@1", "ba@0"}));
  EXPECT_EQ(Shown({{File("a")}, {File("b"), {.kind = Kind::kOpaque, .path = ""}}, {File("c")}}),
            (Files{"b@1", "c@2"}));
  // What a layer hides of itself stays.
  EXPECT_EQ(Shown({{File("a"), {.kind = Kind::kWhiteout, .path = "a"}}}), (Files{"a@0"}));
}

}  // namespace
}  // namespace weighhouse::fill
