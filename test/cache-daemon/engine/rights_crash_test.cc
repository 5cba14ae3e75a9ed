// Kills an engine at every durable step of a private model's fill: whatever it left, also after a
// power cut, the model is as private as before, and its bytes are nobody's by their digest.

#include <fmt/format.h>

#include "base/fault.h"
#include "test/cache-daemon/engine/crash_fixture.h"

namespace weighhouse {
namespace {

constexpr const char* kOwner = "hf_owner";
constexpr const char* kAnother = "hf_another";

class RightsCrashChild : public CrashFixture {};

TEST_F(RightsCrashChild, Fills) {
  auto directory = ParentsDirectory();
  if (!directory) GTEST_SKIP() << "only for the crash test's children";
  OpenRecorded(*directory);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(kPrivate, "pod", kOwner)));
  engine_.reset();
}

class RightsCrashTest : public CrashFixture {
 protected:
  void SetUp() override {
    std::string weights(kMiB, 'p');
    AddFile("org/private", "private.bin", weights);
    AddFile("org/private", ".fixture.json", R"({"private": true, "granted": ["hf_owner"]})");
    AddFile("org/lookalike", "private.bin", std::string(kMiB, 'x'));
    StartHub({"--token", kOwner, "--token", kAnother});
    lie_ = fmt::format(
        R"([{{"side": "hub", "path": "/api/models/org/lookalike/tree/", "action": {{
           "kind": "listing", "entries": [{{"type": "file", "path": "private.bin", "size": {},
           "oid": "{}", "lfs": {{"oid": "{}", "size": {}, "pointerSize": 134}}}}]}}}}])",
        kMiB, std::string(40, '0'), Digest::Of(weights).Hex(), kMiB);
  }
  Code CodeFor(const std::string& token) {
    Result<AcquiredTree> tree = Acquire(Request(kPrivate, token));
    return tree ? Code::kUnknown : tree.error().code;
  }
  void CheckPrivacy() {
    ASSERT_NE(engine_, nullptr);
    for (const SnapshotView& view : engine_->List()) {
      EXPECT_FALSE(view.snapshot.anonymous) << view.snapshot.origin;
    }
    EXPECT_EQ(CodeFor(""), Code::kUnauthenticated);
    EXPECT_EQ(CodeFor(kAnother), Code::kNotFound);
    ExpectNothingByDigest();
    hub_->SetFaults(
        R"([{"side": "hub", "path": "", "action": {"kind": "status", "status": 503}}])");
    EXPECT_EQ(CodeFor(""), Code::kUnavailable);
    EXPECT_EQ(CodeFor(kAnother), Code::kUnavailable);
    hub_->ClearFaults();
    ASSERT_TRUE(Acquire(Request(kPrivate, kOwner)));
    ExpectNothingByDigest();
    engine_.reset();
  }
  /// A public repository that lists the private file's sha256 has no file of it here.
  void ExpectNothingByDigest() {
    hub_->SetFaults(lie_);
    ASSERT_OK_AND_ASSIGN(stat,
                         engine_->Stat(ModelReference::Parse("hf://org/lookalike").value(), {}));
    ASSERT_EQ(stat.files.size(), 1u);
    EXPECT_FALSE(stat.files[0].present);
    hub_->ClearFaults();
  }
  void CheckCrash(unsigned crash) {
    for (io::PowerCut cut : io::PowerCutsAfter(crash)) {
      SCOPED_TRACE(
          fmt::format("a power cut that takes {}, seed {}", io::PowerLossName(cut.loss), cut.seed));
      OpenAfter(cut);
      CheckPrivacy();
      if (HasFailure()) return;
    }
    OpenRecorded(directory_.path());
    CheckPrivacy();
  }

  std::string lie_;
};

TEST_F(RightsCrashTest, NoCrashMakesAPrivateModelPublic) {
  unsigned crashes = 0;
  for (std::string_view point : kFaultPoints) {
    bool of_fills = point.starts_with("snapshot.") || point.starts_with("ingest.") ||
                    point.starts_with("grant.") || point.starts_with("reference.") ||
                    point.starts_with("fill.");
    if (!of_fills) continue;
    std::string fault = fmt::format("{}:1", point);
    SCOPED_TRACE(fault);
    if (!IsKilled(fault, "RightsCrashChild.*")) {
      // It takes none back.
      EXPECT_TRUE(!point.starts_with("grant.") || point == "grant.dropped") << "never reached";
      continue;
    }
    CheckCrash(++crashes);
    if (HasFailure()) return;
  }
  EXPECT_GE(crashes, 25u);
}

}  // namespace
}  // namespace weighhouse
