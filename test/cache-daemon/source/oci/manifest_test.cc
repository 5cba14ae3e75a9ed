#include "cache-daemon/source/oci/manifest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/oci/layer_files.h"

namespace weighhouse::source::oci {
namespace {

using testing::HasSubstr;

constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";

std::string Hex(char digit) { return std::string(64, digit); }

std::string LayerJson(const std::string& media_type, const std::string& annotations,
                      char digit = 'a', const std::string& size = "7") {
  return fmt::format(
      R"({{"mediaType": "{}", "digest": "sha256:{}", "size": {}, "annotations": {{{}}}}})",
      media_type, Hex(digit), size, annotations);
}

std::string ManifestJson(const std::string& layers, const std::string& more = "") {
  return fmt::format(
      R"({{"schemaVersion": 2, "config": {{"mediaType": "application/x", "digest": "sha256:{}",
          "size": 2}}, "layers": [{}]{}}})",
      Hex('c'), layers, more);
}

std::string EntryJson(char digit, const std::string& more) {
  return fmt::format(R"({{"mediaType": "{}", "digest": "sha256:{}", "size": 9{}}})", kManifestType,
                     Hex(digit), more);
}

std::string PlatformJson(const std::string& os, const std::string& architecture) {
  return fmt::format(R"(, "platform": {{"os": "{}", "architecture": "{}"}})", os, architecture);
}

/// The digest's digit of what is chosen on amd64, or the error.
std::string Chosen(const std::string& entries) {
  auto document = ParseDocument(R"({"manifests": [)" + entries + "]}", kIndexType);
  if (!document) return document.error().message;
  auto chosen = Choose(*document->index, "amd64");
  return chosen ? chosen->digest.substr(7, 1) : chosen.error().message;
}

Result<Layers> LayersIn(const std::string& layers) {
  auto document = ParseDocument(ManifestJson(layers), kManifestType);
  if (!document) return std::unexpected(document.error());
  return LayersOf(*document->manifest);
}

TEST(ManifestTest, RefusesMoreValuesThanAManifestHas) {
  std::string many = "{}";
  for (int i = 0; i < 100'000; ++i) many += ",{}";
  auto refused = ParseDocument(R"({"layers": [)" + many + "]}", kManifestType);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("more than 100,000 values"));
}

TEST(ManifestTest, ReadsAManifestAndAnIndex) {
  auto manifest = ParseDocument(
      ManifestJson(LayerJson("a/b", R"("k": "v", "n": 1)"), R"(, "artifactType": "t")"),
      kManifestType);
  ASSERT_TRUE(manifest) << manifest.error().message;
  ASSERT_TRUE(manifest->manifest && !manifest->index);
  EXPECT_EQ(manifest->manifest->artifact_type, "t");
  EXPECT_EQ(manifest->manifest->config_media_type, "application/x");
  ASSERT_EQ(manifest->manifest->layers.size(), 1U);
  EXPECT_EQ(manifest->manifest->layers[0].Annotation("k"), "v");
  EXPECT_EQ(manifest->manifest->layers[0].Annotation("n"), "");
  EXPECT_EQ(manifest->manifest->layers[0].size, 7U);
  auto index = ParseDocument(R"({"manifests": []})", kIndexType);
  ASSERT_TRUE(index);
  EXPECT_TRUE(index->index && !index->manifest);
  // Of a type that says nothing, the shape tells.
  EXPECT_TRUE(ParseDocument(ManifestJson(""), "application/json")->manifest);
  EXPECT_TRUE(ParseDocument(R"({"manifests": []})", "")->index);
}

TEST(ManifestTest, RefusesWhatCouldBeTakenForTwoThings) {
  const std::string kBoth = ManifestJson("", R"(, "manifests": [])");
  for (const char* type : {kManifestType, kIndexType, "application/json", ""}) {
    EXPECT_FALSE(ParseDocument(kBoth, type)) << type;
  }
  auto other = ParseDocument(ManifestJson("", fmt::format(R"(, "mediaType": "{}")", kIndexType)),
                             kManifestType);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("calls itself"));
}

TEST(ManifestTest, RefusesWhatItCantUse) {
  std::string deep(100, '[');
  for (const std::string& text :
       {std::string("<html>"), std::string("[]"), std::string("{}"), R"({"layers": )" + deep,
        std::string(R"({"schemaVersion": 1, "fsLayers": []})"),
        std::string(R"({"layers": {}, "config": {}})"), ManifestJson("1"),
        ManifestJson(LayerJson("a", "", 'A')), ManifestJson(LayerJson("a", "", 'a', "-1")),
        ManifestJson(LayerJson("a", "", 'a', "1e3")),
        ManifestJson(LayerJson("a", "", 'a', "\"1\"")),
        ManifestJson(LayerJson("a", "", 'a', "18446744073709551615")),
        ManifestJson(R"({"mediaType": "a", "digest": "sha512:00", "size": 1})")}) {
    auto document = ParseDocument(text, "application/json");
    ASSERT_FALSE(document) << text.substr(0, 80);
    EXPECT_EQ(document.error().code, Code::kInvalidArgument);
  }
}

TEST(ManifestTest, ChoosesForTheNode) {
  std::string arm = EntryJson('a', PlatformJson("linux", "arm64"));
  std::string amd = EntryJson('d', PlatformJson("linux", "amd64"));
  std::string windows = EntryJson('e', PlatformJson("windows", "amd64"));
  std::string attestation = EntryJson('f', PlatformJson("unknown", "unknown"));
  EXPECT_EQ(Chosen(attestation + "," + windows + "," + arm + "," + amd), "d");
  // Weights are the same for all.
  EXPECT_EQ(Chosen(attestation + "," + arm), "a");
  std::string attests =
      EntryJson('1', R"(, "annotations": {"vnd.docker.reference.type": "attestation-manifest"})");
  EXPECT_EQ(Chosen(attests + "," + windows), "e");
  EXPECT_THAT(Chosen(arm + "," + windows), HasSubstr("[linux/arm64, windows/amd64]"));
  EXPECT_THAT(Chosen(attestation), HasSubstr("none for linux/amd64"));
  EXPECT_THAT(Chosen(""), HasSubstr("none for linux/amd64"));
}

TEST(ManifestTest, ChoosesAModelWithoutPlatforms) {
  std::string plain = EntryJson('1', "");
  std::string model =
      EntryJson('2', R"(, "artifactType": "application/vnd.cncf.model.manifest.v1+json")");
  EXPECT_EQ(Chosen(plain), "1");
  EXPECT_EQ(Chosen(plain + "," + model), "2");
  EXPECT_THAT(Chosen(plain + "," + plain), HasSubstr("name one of them by its digest"));
}

TEST(LayerFilesTest, NamesRawLayersByTheirAnnotations) {
  auto layers = LayersIn(LayerJson("application/vnd.cncf.model.weight.v1.raw",
                                   R"("org.cncf.model.filepath": "a/w.safetensors",
                   "org.opencontainers.image.title": "other")",
                                   '1') +
                         "," +
                         LayerJson("application/vnd.cnai.model.doc.v1.raw",
                                   R"("org.cnai.model.filepath": "README.md")", '2') +
                         "," +
                         LayerJson("application/vnd.docker.ai.gguf.v3",
                                   R"("org.cncf.model.filepath": "m.gguf")", '3') +
                         "," +
                         LayerJson("application/vnd.oci.image.layer.v1.tar",
                                   R"("org.opencontainers.image.title": "./t/config.json")", '4') +
                         "," + LayerJson("application/vnd.oci.empty.v1+json", "", '5'));
  ASSERT_TRUE(layers) << layers.error().message;
  EXPECT_TRUE(layers->archives.empty());
  const std::vector<ListedFile>& files = layers->files;
  ASSERT_EQ(files.size(), 4U);
  const char* kPaths[] = {"a/w.safetensors", "README.md", "m.gguf", "t/config.json"};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(files[i].path, kPaths[i]);
    EXPECT_EQ(files[i].identity,
              (FileIdentity{FileIdentity::Kind::kSha256, Hex(static_cast<char>('1' + i))}));
    EXPECT_EQ(files[i].size, 7U);
  }
}

TEST(LayerFilesTest, KnowsTarsByTheirTypes) {
  const std::string kUnpacked =
      R"("org.opencontainers.image.title": "d", "io.deis.oras.content.unpack": "true")";
  for (const std::string& tar :
       {LayerJson("application/vnd.cncf.model.weight.v1.tar", R"("org.cncf.model.filepath": "a")"),
        LayerJson("application/vnd.cnai.model.weight.v1.tar", ""),
        LayerJson("application/vnd.kitops.modelkit.model.v1.tar", ""),
        LayerJson("application/vnd.docker.ai.dir.tar", ""),
        LayerJson("application/vnd.oci.image.layer.v1.tar", kUnpacked)}) {
    auto layers = LayersIn(tar);
    ASSERT_TRUE(layers) << layers.error().message;
    EXPECT_TRUE(layers->files.empty());
    ASSERT_EQ(layers->archives.size(), 1U);
    EXPECT_TRUE(layers->archives[0].plain);
    EXPECT_EQ(layers->archives[0].layer, (PackedLayer{.digest = Hex('a'), .size = 7}));
  }
}

TEST(LayerFilesTest, KnowsWhatMustBeReadWhole) {
  const std::string kTitled = R"("org.opencontainers.image.title": "d")";
  const std::string kUnpacked = kTitled + R"(, "io.deis.oras.content.unpack": "true")";
  for (const auto& [archive, prefix] : std::vector<std::pair<std::string, std::string>>{
           {LayerJson("application/vnd.cncf.model.weight.v1.tar+zstd", kTitled), ""},
           {LayerJson("application/vnd.kitops.modelkit.model.v1.tar+gzip", ""), ""},
           {LayerJson("application/vnd.oci.image.layer.v1.tar+gzip", kUnpacked), ""},
           {LayerJson("application/x", kUnpacked), ""},
           {LayerJson("application/vnd.oci.image.layer.v1.tar", ""), "models/"},
           {LayerJson("application/vnd.oci.image.layer.v1.tar+gzip", ""), "models/"},
           {LayerJson("application/vnd.docker.image.rootfs.diff.tar.gzip", ""), "models/"}}) {
    auto layers = LayersIn(archive);
    ASSERT_TRUE(layers) << archive;
    ASSERT_EQ(layers->archives.size(), 1U) << archive;
    EXPECT_FALSE(layers->archives[0].plain) << archive;
    EXPECT_EQ(layers->archives[0].layer.prefix, prefix) << archive;
  }
}

TEST(LayerFilesTest, ALayerNeedsAName) {
  auto nameless = LayersIn(LayerJson("application/vnd.docker.ai.license", ""));
  ASSERT_FALSE(nameless);
  EXPECT_EQ(nameless.error().code, Code::kInvalidArgument);
  EXPECT_THAT(nameless.error().message, HasSubstr("has no file name"));
}

TEST(DiffIdsTest, AreThoseOfImagesAndOfModelPacks) {
  std::string one = "sha256:" + Hex('1');
  for (const char* form : {R"({{"rootfs": {{"type": "layers", "diff_ids": ["{}"]}}}})",
                           R"({{"modelfs": {{"type": "layers", "diffIds": ["{}"]}}}})"}) {
    auto ids = ParseDiffIds(fmt::format(fmt::runtime(form), one), 1);
    ASSERT_TRUE(ids);
    EXPECT_EQ(*ids, std::vector{Hex('1')});
    EXPECT_FALSE(ParseDiffIds(fmt::format(fmt::runtime(form), one), 2));
    EXPECT_FALSE(ParseDiffIds(fmt::format(fmt::runtime(form), "md5:1"), 1));
  }
  for (const char* none : {"", "{}", "[]", R"({"rootfs": {"diff_ids": []}})", R"({"rootfs": 5})"}) {
    auto ids = ParseDiffIds(none, 3);
    EXPECT_TRUE(ids && ids->empty()) << none;
  }
}

}  // namespace
}  // namespace weighhouse::source::oci
