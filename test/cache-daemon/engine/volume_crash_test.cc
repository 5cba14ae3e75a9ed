// Kills an engine at every durable step of CreateVolume and of DeleteVolume, each time that it
// comes to one: whatever it left, also after a power cut, a volume's record is never without what
// it promised, and the same request again has all of it.

#include <string_view>

#include <fmt/format.h>

#include "base/fault.h"
#include "test/cache-daemon/engine/crash_fixture.h"

namespace weighhouse {
namespace {

class VolumeCrashChild : public CrashFixture {};

TEST_F(VolumeCrashChild, Works) {
  auto directory = ParentsDirectory();
  if (!directory) GTEST_SKIP() << "only for the crash test's children";
  OpenRecorded(*directory);
  ASSERT_TRUE(engine_->CreateVolume(Of("volume", kModel)));
  ASSERT_TRUE(engine_->DeleteVolume("volume"));
  engine_.reset();
}

class VolumeCrashTest : public CrashFixture {
 protected:
  void SetUp() override {
    AddFile("org/model", "model.bin", std::string(kMiB, 'm'));
    StartHub();
  }
  /// Its fill gets nothing, so it comes to the same steps each time.
  bool IsKilledAtStep(const std::string& fault) {
    hub_->SetFaults(R"([{"side": "cdn", "path": "", "action": {"kind": "pause"}}])");
    bool killed = IsKilled(fault, "VolumeCrashChild.*");
    hub_->ClearFaults();
    return killed;
  }
  void CheckPromises() {
    ASSERT_NE(engine_, nullptr);
    // No publish came, and no time passed: nothing but DeleteVolume ends a hold, after its record.
    if (engine_->GetVolume("volume")) {
      EXPECT_EQ(HoldCount(), 1u) << "a record without its hold";
    }
    std::string commit = hub_->Commit("org/model");
    ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(Of("volume", kModel)));
    EXPECT_EQ(volume.commit, commit);
    EXPECT_EQ(HoldCount(), 1u);
    EXPECT_EQ(MeantBy(kModel + ("@" + commit)), commit) << "as its publishes ask";
    EXPECT_TRUE(BecomesComplete(1));
    engine_.reset();
  }
  void CheckCrash(unsigned crash) {
    for (io::PowerCut cut : io::PowerCutsAfter(crash)) {
      SCOPED_TRACE(
          fmt::format("a power cut that takes {}, seed {}", io::PowerLossName(cut.loss), cut.seed));
      OpenAfter(cut);
      CheckPromises();
      if (HasFailure()) return;
    }
    OpenRecorded(directory_.path());
    CheckPromises();
  }
};

TEST_F(VolumeCrashTest, ARecordOnTheDiskHasItsHold) {
  unsigned crashes = 0;
  for (std::string_view point : kFaultPoints) {
    bool reference = point.starts_with("reference.");
    bool of_volumes = point.starts_with("hold.") || point.starts_with("volume.") || reference ||
                      point == "snapshot.recorded";
    if (!of_volumes) continue;
    int passages = 0;
    while (passages < 3) {
      std::string fault = fmt::format("{}:{}", point, passages + 1);
      SCOPED_TRACE(fault);
      if (!IsKilledAtStep(fault)) break;
      ++passages;
      CheckCrash(++crashes);
      if (HasFailure()) return;
    }
    EXPECT_EQ(passages, reference ? 2 : 1) << point << ": that at the commit, and the branch's";
  }
  EXPECT_GE(crashes, 11u);
}

}  // namespace
}  // namespace weighhouse
