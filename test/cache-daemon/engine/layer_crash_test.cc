// Kills an engine at every fault point of layers that are read whole, and looks at what the next
// one makes of it: of all that the process did, and of what a power cut at that moment leaves.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "test/cache-daemon/engine/crash_fixture.h"
#include "test/cache-daemon/engine/layer_registry.h"
#include "test/cache-daemon/source/oci/tar_text.h"

namespace weighhouse {
namespace {

namespace fs = std::filesystem;
using source::oci::TarEntry;

std::string LayerWeights() { return PatternBytes(3 * kMiB + 3, 43); }

std::vector<std::string> CrashLayers() {
  const std::string end(1024, '\0');
  return {TarEntry("models/config.json", "old") + TarEntry("models/gone", "1") + end,
          TarEntry("models/model.safetensors", LayerWeights()) + TarEntry("models/.wh.gone", "") +
              TarEntry("models/config.json", "{}") + end};
}

class LayerCrashChild : public CrashFixture {};

TEST_F(LayerCrashChild, Reads) {
  auto directory = ParentsDirectory();
  if (!directory) GTEST_SKIP() << "only for the crash test's children";
  OpenRecorded(*directory);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(ReadTestFile(*directory / "uri"), "pod")));
  engine_.reset();
}

class LayerCrashTest : public CrashFixture {
 protected:
  LayerCrashTest() { WriteTestFile(directory_ / "uri", registry_.uri()); }

  void ExpectOnlyTrueBlobs() {
    for (const fs::directory_entry& entry :
         fs::recursive_directory_iterator(fs::path(root_) / "blobs/sha256")) {
      if (!entry.is_regular_file()) continue;
      EXPECT_EQ(Digest::Of(ReadTestFile(entry.path())).Hex(), entry.path().filename().string());
    }
  }
  void ExpectModel() {
    ASSERT_NE(engine_, nullptr);
    ExpectOnlyTrueBlobs();
    ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(registry_.uri(), "pod")));
    EXPECT_EQ(Digest::Of(Read(tree, "model.safetensors")), Digest::Of(LayerWeights()));
    EXPECT_EQ(Read(tree, "config.json"), "{}");
    EXPECT_EQ(tree.files, 2U);
    EXPECT_THAT(Names("ingests"), testing::IsEmpty());
    ExpectOnlyTrueBlobs();
    engine_.reset();
  }
  void CheckCrash(unsigned crash) {
    for (io::PowerCut cut : io::PowerCutsAfter(crash)) {
      SCOPED_TRACE(
          fmt::format("a power cut that takes {}, seed {}", io::PowerLossName(cut.loss), cut.seed));
      OpenAfter(cut);
      ExpectModel();
      if (HasFailure()) return;
    }
    OpenRecorded(directory_.path());
    ExpectModel();
    if (HasFailure()) return;
    SCOPED_TRACE("and then a power cut");
    OpenAfter({});
    ExpectModel();
  }

  LayerRegistry registry_{CrashLayers()};
};

TEST_F(LayerCrashTest, EveryCrashLeavesLayersThatAreReadAgain) {
  KillAtEach({"unpack.", "layer."}, "LayerCrashChild.*",
             [this](unsigned crash) { CheckCrash(crash); });
}

}  // namespace
}  // namespace weighhouse
