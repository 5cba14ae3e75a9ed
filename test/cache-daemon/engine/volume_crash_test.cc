// Kills an engine at every durable step of CreateVolume and of DeleteVolume: whatever it left, also
// after a power cut, a volume's record is never without what it promised.

#include <cstdlib>
#include <string_view>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/fault.h"
#include "test/cache-daemon/engine/volume_fixture.h"
#include "test/cache-daemon/io/durable_disk.h"
#include "test/cache-daemon/io/power_loss_filesystem.h"
#include "test/support/killed_child.h"

namespace weighhouse {
namespace {

namespace fs = std::filesystem;

constexpr const char* kChildDirectory = "VOLUME_CRASH_DIRECTORY";

class VolumeCrash : public VolumeFixture {
 protected:
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

class VolumeCrashChild : public VolumeCrash {};

TEST_F(VolumeCrashChild, Works) {
  const char* environment = std::getenv(kChildDirectory);
  if (environment == nullptr) GTEST_SKIP() << "only for the crash test's children";
  fs::path directory = environment;
  io::PosixFilesystem disk;
  io::PowerLossFilesystem recording(disk, directory / "record");
  OpenOn(recording, directory / "root", directory);
  ASSERT_TRUE(engine_->CreateVolume(Of("volume", model_)));
  ASSERT_TRUE(engine_->DeleteVolume("volume"));
  engine_.reset();
}

class VolumeCrashTest : public VolumeCrash {
 protected:
  VolumeCrashTest() { WriteTestFile(directory_ / "model/model.bin", std::string(kMiB, 'm')); }

  void CheckPromises(const fs::path& root) {
    OpenOn(disk_, root, directory_.path());
    ASSERT_NE(engine_, nullptr);
    // No publish came, and no time passed: nothing but DeleteVolume ends a hold, after its record.
    if (engine_->GetVolume("volume")) {
      EXPECT_EQ(HoldCount(), 1u) << "a record without its hold";
    }
    ASSERT_TRUE(engine_->CreateVolume(Of("volume", model_)));
    EXPECT_EQ(HoldCount(), 1u);
    engine_.reset();
  }

  io::PosixFilesystem disk_;
};

TEST_F(VolumeCrashTest, ARecordOnTheDiskHasItsHold) {
  unsigned crash = 0;
  for (std::string_view point : kFaultPoints) {
    bool of_volumes = point.starts_with("hold.") || point.starts_with("volume.") ||
                      point.starts_with("reference.") || point == "snapshot.recorded";
    if (!of_volumes) continue;
    SCOPED_TRACE(point);
    for (const char* name : {"root", "record"}) fs::remove_all(directory_ / name);
    ASSERT_TRUE(IsKilledAt(fmt::format("{}:1", point), "VolumeCrashChild.*",
                           {{kChildDirectory, directory_.path().string()}}));
    ++crash;
    for (io::PowerCut cut : io::PowerCutsAfter(crash)) {
      SCOPED_TRACE(
          fmt::format("a power cut that takes {}, seed {}", io::PowerLossName(cut.loss), cut.seed));
      fs::remove_all(directory_ / "cut");
      io::DurableDisk(directory_ / "record").CutPower(directory_ / "root", directory_ / "cut", cut);
      CheckPromises(directory_ / "cut");
      if (HasFailure()) return;
    }
    CheckPromises(directory_ / "root");
    if (HasFailure()) return;
  }
  EXPECT_GE(crash, 8u);
}

}  // namespace
}  // namespace weighhouse
