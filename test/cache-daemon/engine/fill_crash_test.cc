// Kills an engine at every fault point of a fill, and looks at what the next one makes of it: of
// all that the process did, and of what a power cut at that moment leaves.

#include <cstdlib>
#include <iterator>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/fault.h"
#include "test/cache-daemon/engine/engine_fixture.h"
#include "test/cache-daemon/io/durable_disk.h"
#include "test/cache-daemon/io/power_loss_filesystem.h"
#include "test/support/killed_child.h"

namespace weighhouse {
namespace {

namespace fs = std::filesystem;

constexpr const char* kChildDirectory = "FILL_CRASH_DIRECTORY";

std::string Weights() { return PatternBytes(9 * kMiB + 3, 41); }

class FillCrash : public EngineTest {
 protected:
  /// An engine on `root`, for the model that lies in `directory`.
  void OpenOn(io::Filesystem& disk, const fs::path& root, const fs::path& directory) {
    root_ = root;
    EngineOptions options = Options();
    options.store.root = root;
    options.local_roots = {directory.string()};
    options.filesystem = &disk;
    OpenEngine(options);
    model_ = "file://" + (directory / "model").string();
  }

  std::string model_;
};

class FillCrashChild : public FillCrash {};

TEST_F(FillCrashChild, Fills) {
  const char* environment = std::getenv(kChildDirectory);
  if (environment == nullptr) GTEST_SKIP() << "only for the crash test's children";
  fs::path directory = environment;
  io::PosixFilesystem disk;
  io::PowerLossFilesystem recording(disk, directory / "record");
  OpenOn(recording, directory / "root", directory);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(model_, "pod")));
  engine_.reset();
}

class FillCrashTest : public FillCrash {
 protected:
  FillCrashTest() {
    WriteTestFile(directory_ / "model/model.safetensors", Weights());
    WriteTestFile(directory_ / "model/config.json", "{}");
  }

  void CutPower(io::PowerCut cut) {
    fs::remove_all(directory_ / "cut");
    io::DurableDisk(directory_ / "record").CutPower(directory_ / "root", directory_ / "cut", cut);
  }

  void ExpectOnlyTrueBlobs() {
    for (const fs::directory_entry& entry :
         fs::recursive_directory_iterator(fs::path(root_) / "blobs/sha256")) {
      if (!entry.is_regular_file()) continue;
      EXPECT_EQ(Digest::Of(ReadTestFile(entry.path())).Hex(), entry.path().filename().string());
    }
  }

  /// The bytes that the model still needs after the crash; nothing of it may be wrong then.
  void ExpectModel(io::Filesystem& disk, const fs::path& root, Bytes most_fetched) {
    OpenOn(disk, root, directory_.path());
    ASSERT_NE(engine_, nullptr);
    ExpectOnlyTrueBlobs();
    ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(model_, "pod")));
    EXPECT_LE(tree.bytes_fetched, most_fetched);
    EXPECT_EQ(Digest::Of(Read(tree, "model.safetensors")), Digest::Of(Weights()));
    EXPECT_EQ(Read(tree, "config.json"), "{}");
    EXPECT_THAT(Names("ingests"), testing::IsEmpty());
    ExpectOnlyTrueBlobs();
    engine_.reset();
  }

  void CheckCrash() {
    const Bytes all = Weights().size() + 2;
    for (io::PowerCut cut : io::PowerCutsAfter(crash_)) {
      SCOPED_TRACE(
          fmt::format("a power cut that takes {}, seed {}", io::PowerLossName(cut.loss), cut.seed));
      CutPower(cut);
      ExpectModel(disk_, directory_ / "cut", all);
      if (HasFailure()) return;
    }
    io::PowerLossFilesystem recording(disk_, directory_ / "record");
    ExpectModel(recording, directory_ / "root", all);
    engine_.reset();  // also after a failure: it uses `recording`
    if (HasFailure()) return;
    SCOPED_TRACE("and then a power cut");
    CutPower({});
    ExpectModel(disk_, directory_ / "cut", 0);
  }

  io::PosixFilesystem disk_;
  unsigned crash_ = 0;  ///< its number
};

TEST_F(FillCrashTest, EveryCrashLeavesAFillThatIsFinished) {
  size_t points = 0;
  size_t kills = 0;
  for (std::string_view point : kFaultPoints) {
    if (!point.starts_with("fill.")) continue;
    ++points;
    int passages = 0;
    for (int passage = 1; passage <= 2; ++passage) {
      std::string fault = fmt::format("{}:{}", point, passage);
      SCOPED_TRACE(fault);
      for (const char* name : {"root", "record"}) fs::remove_all(directory_ / name);
      if (!IsKilledAt(fault, "FillCrashChild.*", {{kChildDirectory, directory_.path().string()}}))
        break;
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
