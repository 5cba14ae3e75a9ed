// Kills an engine at every fault point of layers that are read whole, and looks at what the next
// one makes of it: of all that the process did, and of what a power cut at that moment leaves.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/fault.h"
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
  void CheckCrash() {
    for (io::PowerCut cut : io::PowerCutsAfter(crash_)) {
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
  unsigned crash_ = 0;  ///< its number
};

TEST_F(LayerCrashTest, EveryCrashLeavesLayersThatAreReadAgain) {
  size_t points = 0;
  size_t kills = 0;
  for (std::string_view point : kFaultPoints) {
    if (!point.starts_with("unpack.") && !point.starts_with("layer.")) continue;
    ++points;
    int passages = 0;
    for (int passage = 1; passage <= 2; ++passage) {
      std::string fault = fmt::format("{}:{}", point, passage);
      SCOPED_TRACE(fault);
      if (!IsKilled(fault, "LayerCrashChild.*")) break;
      ++passages;
      ++crash_;
      CheckCrash();
      if (HasFailure()) return;
    }
    ASSERT_GT(passages, 0) << point << " is never reached";
    kills += static_cast<size_t>(passages);
  }
  // SIGKILL, one followed by a power cut, and power cuts.
  size_t modes = 2 + io::PowerCutsAfter(0).size();
  fmt::print("{} fault points x {} modes: {} kills, {} recoveries\n", points, modes, kills,
             kills * modes);
}

}  // namespace
}  // namespace weighhouse
