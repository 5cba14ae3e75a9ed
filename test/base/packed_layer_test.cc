#include "base/packed_layer.h"

#include <gtest/gtest.h>

#include "base/digest.h"

namespace weighhouse {
namespace {

LayerPlace Place(const std::string& prefix, const std::string& path) {
  return {
      .digest = Digest::Of("layer").Hex(), .size = 1234567890123, .prefix = prefix, .path = path};
}

TEST(LayerPlaceTest, IsReadFromItsToken) {
  for (const LayerPlace& place : {Place("", "a"), Place("models/", "b/c.safetensors"),
                                  Place("", "a #1#2"), Place("m/", "\xC3\xA4")}) {
    EXPECT_EQ(LayerPlace::Parse(place.ToToken()), place) << place.ToToken();
  }
}

TEST(LayerPlaceTest, IsInNoOtherToken) {
  const std::string digest = Digest::Of("layer").Hex();
  for (const std::string& token :
       {std::string(), std::string("etag \"x\""), "layer sha256:" + digest,
        "layer sha256:" + digest + " 5", "layer sha256:" + digest + " 5#",
        "layer sha256:" + digest + " 5##", "layer sha256:" + digest + " 5#a",
        "layer sha256:" + digest + " #models/#a", "layer sha256:" + digest + " 5x##a",
        "layer sha256:" + digest + " 99999999999999999999999##a",
        "layer sha256:" + digest.substr(1) + "g 5##a"}) {
    EXPECT_EQ(LayerPlace::Parse(token), std::nullopt) << token;
  }
}

}  // namespace
}  // namespace weighhouse
