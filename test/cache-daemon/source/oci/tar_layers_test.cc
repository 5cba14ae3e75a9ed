// Files that are ranges of their layer: how they are listed, located and fetched.

#include "cache-daemon/source/oci/tar_layers.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/oci/oci_registry.h"
#include "cache-daemon/source/transport.h"
#include "test/cache-daemon/source/oci/tar_text.h"
#include "test/cache-daemon/source/recording_sink.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"

namespace weighhouse::source::oci {
namespace {

using testing::HasSubstr;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

std::string DigestName(const std::string& bytes) { return "sha256:" + Digest::Of(bytes).Hex(); }

/// A registry whose one model is one tar layer.
class TarLayersTest : public testing::Test {
 protected:
  TarLayersTest() : server_([this](const Request& request) { return Serve(request); }) {}

  ModelReference Model() const {
    return {.uri = "oci://" + server_.Url("").substr(std::string("http://").size()) + "/org/name"};
  }
  Result<Listing> Resolve() { return source_.Resolve(Model(), {}, {}); }
  size_t BlobRequests() const {
    size_t count = 0;
    for (const Request& request : server_.Requests()) count += request.target.contains("/blobs/");
    return count;
  }

  std::string layer_;
  /// What the registry sends in its place.
  std::string sent_;
  bool ignores_ranges_ = false;
  ScriptedServer server_;
  OciRegistry source_{PlainHttp::kLoopbackOnly,
                      std::make_shared<HttpClient>(HttpClientOptions{.policy = LoopbackPolicy()})};

 private:
  Reply Serve(const Request& request) {
    if (request.target == "/v2/") return {HttpAnswer(200, {}, "{}")};
    if (request.target.contains("/manifests/")) {
      return {HttpAnswer(
          200, {"Content-Type: application/vnd.oci.image.manifest.v1+json"},
          fmt::format(R"({{"config": {{"mediaType": "c", "digest": "{}", "size": 2}}, "layers": [
                          {{"mediaType": "application/vnd.cncf.model.weight.v1.tar",
                            "digest": "{}", "size": {}}}]}})",
                      DigestName("{}"), DigestName(layer_), layer_.size()))};
    }
    if (request.target.contains(DigestName("{}"))) return {HttpAnswer(200, {}, "{}")};
    const std::string& bytes = sent_.empty() ? layer_ : sent_;
    size_t at = request.head.find("Range: bytes=");
    size_t begin = 0, end = bytes.size();
    if (at == std::string::npos || ignores_ranges_) return {HttpAnswer(200, {}, bytes)};
    CHECK(std::sscanf(request.head.c_str() + at, "Range: bytes=%zu-%zu", &begin, &end) == 2);
    end = std::min(end + 1, bytes.size());
    return {HttpAnswer(206,
                       {fmt::format("Content-Range: bytes {}-{}/{}", begin, end - 1, bytes.size())},
                       bytes.substr(begin, end - begin))};
  }
};

TEST_F(TarLayersTest, ListsAndLocatesTheOneFile) {
  std::string content(200'000, 'w');
  layer_ = TarEntry("dir/", "", '5') + TarEntry("dir/w.bin", content) + std::string(10240, '\0');
  auto listing = Resolve();
  ASSERT_TRUE(listing) << listing.error().message;
  ASSERT_EQ(listing->files.size(), 1U);
  const ListedFile& file = listing->files[0];
  EXPECT_EQ(file.path, "dir/w.bin");
  EXPECT_EQ(file.size, content.size());
  EXPECT_EQ(file.identity,
            (FileIdentity{FileIdentity::Kind::kVersionToken, "layer " + DigestName(layer_)}));
  auto location = source_.Locate(Model(), *listing, file, {}, {});
  ASSERT_TRUE(location) << location.error().message;
  ASSERT_TRUE(location->enclosure);
  EXPECT_EQ(location->enclosure->before + content + location->enclosure->after, layer_);
  EXPECT_EQ(location->enclosure->sha256, Digest::Of(layer_).Hex());
  // What lies around it is read once for a while.
  size_t before = BlobRequests();
  ASSERT_TRUE(Resolve());
  EXPECT_EQ(BlobRequests(), before);
}

TEST_F(TarLayersTest, ATransferBringsTheFilesBytes) {
  std::string content;
  for (int i = 0; i < 20'000; ++i) content += std::to_string(i);
  layer_ = TarEntry("w.bin", content) + std::string(1024, '\0');
  auto listing = Resolve();
  ASSERT_TRUE(listing) << listing.error().message;
  auto location = source_.Locate(Model(), *listing, listing->files[0], {}, {});
  ASSERT_TRUE(location) << location.error().message;
  location->size = content.size();
  auto transport = CreateTransport({.policy = LoopbackPolicy()});
  ASSERT_TRUE(transport);
  for (std::optional<ByteRange> range :
       {std::optional(ByteRange{.begin = 100, .end = 5000}), std::optional<ByteRange>()}) {
    RecordingSink sink;
    TransferEnd end = Bring(**transport, *location, range, sink);
    ASSERT_TRUE(end.status) << end.status.error().message;
    Bytes begin = range ? range->begin : 0;
    EXPECT_EQ(sink.bytes(), content.substr(begin, range ? range->size() : content.size()));
  }
}

TEST_F(TarLayersTest, TarsOfSeveralFilesMustBeReadWhole) {
  for (size_t size : {1UL, 100'000UL}) {
    layer_ = TarEntry("a", "1") + TarEntry("b", std::string(size, '2')) + std::string(1024, '\0');
    auto listing = Resolve();
    ASSERT_TRUE(listing) << listing.error().message;
    EXPECT_TRUE(listing->files.empty());
    EXPECT_EQ(
        listing->packed,
        (std::vector<PackedLayer>{{.digest = Digest::Of(layer_).Hex(), .size = layer_.size()}}));
    // By its digest the layer is found as a raw one is.
    ListedFile blob{.path = "layer",
                    .size = layer_.size(),
                    .identity = {FileIdentity::Kind::kSha256, Digest::Of(layer_).Hex()}};
    auto location = source_.Locate(Model(), *listing, blob, {}, {});
    ASSERT_TRUE(location) << location.error().message;
    EXPECT_FALSE(location->enclosure);
  }
}

TEST_F(TarLayersTest, RefusesWhatIsNoFile) {
  layer_ = TarEntry("../a", "1") + std::string(1024, '\0');
  auto listing = Resolve();
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
  layer_ = TarEntry("a", "", '2') + std::string(1024, '\0');
  listing = Resolve();
  ASSERT_FALSE(listing);
  EXPECT_THAT(listing.error().message, HasSubstr(DigestName(layer_)));
}

TEST_F(TarLayersTest, OfARegistryThatIgnoresRangeAreReadWhole) {
  ignores_ranges_ = true;
  layer_ = TarEntry("w.bin", std::string(200'000, 'w')) + std::string(1024, '\0');
  auto listing = Resolve();
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->packed.size(), 1u);
  layer_ = TarEntry("w.bin", "small") + std::string(1024, '\0');
  listing = Resolve();
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_TRUE(listing->packed.empty()) << "all that was asked for is there";
}

TEST_F(TarLayersTest, NoticesAFileThatIsAnotherThanWasListed) {
  layer_ = TarEntry("a", "12345") + std::string(1024, '\0');
  auto listing = Resolve();
  ASSERT_TRUE(listing) << listing.error().message;
  ListedFile other = listing->files[0];
  other.size = 4;
  auto location = source_.Locate(Model(), *listing, other, {}, {});
  ASSERT_FALSE(location);
  EXPECT_EQ(location.error().code, Code::kOutOfRange);
  other = listing->files[0];
  other.identity.value = "etag \"x\"";
  EXPECT_FALSE(source_.Locate(Model(), *listing, other, {}, {}));
}

}  // namespace
}  // namespace weighhouse::source::oci
