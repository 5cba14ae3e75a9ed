// Kills an engine at every fault point of a fill, and looks at what the next one makes of it: of
// all that the process did, and of what a power cut at that moment leaves.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "test/cache-daemon/engine/crash_fixture.h"

namespace weighhouse {
namespace {

namespace fs = std::filesystem;

std::string Weights() { return PatternBytes(9 * kMiB + 3, 41); }

std::string ModelIn(const fs::path& directory) {
  return "file://" + (directory / "model").string();
}

class FillCrashChild : public CrashFixture {};

TEST_F(FillCrashChild, Fills) {
  auto directory = ParentsDirectory();
  if (!directory) GTEST_SKIP() << "only for the crash test's children";
  OpenRecorded(*directory);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(ModelIn(*directory), "pod")));
  engine_.reset();
}

class FillCrashTest : public CrashFixture {
 protected:
  FillCrashTest() {
    WriteTestFile(directory_ / "model/model.safetensors", Weights());
    WriteTestFile(directory_ / "model/config.json", "{}");
  }

  void ExpectOnlyTrueBlobs() {
    for (const fs::directory_entry& entry :
         fs::recursive_directory_iterator(fs::path(root_) / "blobs/sha256")) {
      if (!entry.is_regular_file()) continue;
      EXPECT_EQ(Digest::Of(ReadTestFile(entry.path())).Hex(), entry.path().filename().string());
    }
  }

  /// The bytes that the model still needs after the crash; nothing of it may be wrong then.
  void ExpectModel(Bytes most_fetched) {
    ASSERT_NE(engine_, nullptr);
    ExpectOnlyTrueBlobs();
    ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(ModelIn(directory_.path()), "pod")));
    EXPECT_LE(tree.bytes_fetched, most_fetched);
    EXPECT_EQ(Digest::Of(Read(tree, "model.safetensors")), Digest::Of(Weights()));
    EXPECT_EQ(Read(tree, "config.json"), "{}");
    EXPECT_THAT(Names("ingests"), testing::IsEmpty());
    ExpectOnlyTrueBlobs();
    engine_.reset();
  }

  void CheckCrash(unsigned crash) {
    const Bytes all = Weights().size() + 2;
    for (io::PowerCut cut : io::PowerCutsAfter(crash)) {
      SCOPED_TRACE(
          fmt::format("a power cut that takes {}, seed {}", io::PowerLossName(cut.loss), cut.seed));
      OpenAfter(cut);
      ExpectModel(all);
      if (HasFailure()) return;
    }
    OpenRecorded(directory_.path());
    ExpectModel(all);
    if (HasFailure()) return;
    SCOPED_TRACE("and then a power cut");
    OpenAfter({});
    ExpectModel(0);
  }
};

TEST_F(FillCrashTest, EveryCrashLeavesAFillThatIsFinished) {
  KillAtEach({"fill."}, "FillCrashChild.*", [this](unsigned crash) { CheckCrash(crash); });
}

}  // namespace
}  // namespace weighhouse
