// Kills a child at every fault point of the store, at its first, second and third passage, and
// looks at what the next start makes of it: of all that the process did, and of what a power cut at
// that moment leaves.

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/fault.h"
#include "cache-daemon/store/blob_index.h"
#include "test/cache-daemon/io/durable_disk.h"
#include "test/cache-daemon/io/power_loss_filesystem.h"
#include "test/cache-daemon/store/crash_workload.h"
#include "test/support/killed_child.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;

constexpr const char* kChildDirectory = "STORE_CRASH_DIRECTORY";
constexpr const char* kChildLieMethod = "STORE_CRASH_LIE_METHOD";
constexpr const char* kChildLiePaths = "STORE_CRASH_LIE_PATHS";

/// What a crash test has on the disk.
struct Places {
  explicit Places(fs::path below) : directory(std::move(below)) {}

  fs::path directory;
  fs::path root = directory / "root";      ///< the cache
  fs::path record = directory / "record";  ///< what PowerLossFilesystem saw
  fs::path promises = directory / "promises";
  fs::path cut = directory / "cut";  ///< the cache after a power cut
  fs::path cut_promises = directory / "cut-promises";
};

/// A disk that swallows some syncs.
struct Lie {
  std::string method;
  std::string paths;
};

StoreOptions OptionsFor(const fs::path& root) {
  return {.root = root, .min_free = 0, .boot_id = "boot"};
}

TEST(StoreCrashChild, Works) {
  const char* directory = std::getenv(kChildDirectory);
  if (directory == nullptr) GTEST_SKIP() << "only for the crash test's children";
  Places places(directory);
  io::PosixFilesystem disk;
  io::PowerLossFilesystem recording(disk, places.record);
  std::string lie = std::getenv(kChildLieMethod);
  if (!lie.empty()) recording.SwallowSyncs(lie, std::getenv(kChildLiePaths));
  Promises promises(places.promises);
  TestClock clock;
  auto store = Store::Open(recording, clock, OptionsFor(places.root));
  ASSERT_TRUE(store.has_value()) << store.error().message;
  auto done = CrashWorkload(**store, recording, promises).Run();
  ASSERT_TRUE(done.has_value()) << done.error().message;
}

/// Whether the workload was killed in a program of its own, on a disk that swallows those syncs.
bool IsWorkloadKilledAt(const std::string& fault, const Places& places, const Lie& lie = {}) {
  return IsKilledAt(fault, "StoreCrashChild.*",
                    {{kChildDirectory, places.directory.string()},
                     {kChildLieMethod, lie.method},
                     {kChildLiePaths, lie.paths}});
}

/// What the files of blobs, ingests and the quarantine take.
Bytes UseOnDisk(const fs::path& root) {
  Bytes use = 0;
  for (const char* directory : {"blobs/sha256", "ingests", "quarantine"}) {
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / directory)) {
      if (!entry.is_regular_file() || entry.path().filename() == "state") continue;
      struct stat status{};
      EXPECT_EQ(::lstat(entry.path().c_str(), &status), 0);
      auto allocated = static_cast<Bytes>(status.st_blocks) * 512;
      bool staged = entry.path().filename() == "data";
      use += RoundUpToBlock(staged ? allocated : static_cast<Bytes>(status.st_size));
    }
  }
  return use;
}

bool ReadsRot(const Store& store, const LeaseRecord& lease) {
  return std::ranges::any_of(FilesBelow(fs::path(store.root()) / lease.tree),
                             [](const auto& file) { return file.second.starts_with(kRot); });
}

/// What must hold whenever a store was opened.
void CheckInvariants(Store& store) {
  ExpectOnlyTrueBytes(store);
  ExpectNoGarbage(store.root());
  EXPECT_EQ(store.Space()->used, UseOnDisk(store.root())) << "the ledger is the disk";
  std::set<std::string> listed;
  for (const Snapshot& snapshot : store.Snapshots()) {
    for (const SnapshotFile& file : snapshot.files) {
      if (file.blob) listed.insert(file.blob->Hex());
      listed.insert(file.listed.identity.value);
    }
  }
  for (const auto& [name, content] : FilesBelow(fs::path(store.root()) / "blobs/sha256")) {
    EXPECT_TRUE(listed.contains(fs::path(name).filename())) << "an orphan: " << name;
  }
  for (const LeaseRecord& lease : store.Leases()) {
    EXPECT_TRUE(fs::exists(fs::path(store.root()) / lease.tree)) << "a lease on nothing";
    bool damaged = std::ranges::any_of(store.DamagedLeases(),
                                       [&](const LeaseRecord& one) { return one.id == lease.id; });
    EXPECT_EQ(damaged, ReadsRot(store, lease)) << lease.pod_name;
  }
}

class StoreCrashTest : public testing::Test {
 protected:
  void SetUp() override { Clear(); }

  void Clear() {
    for (const fs::path& path : {places_.root, places_.record}) fs::remove_all(path);
    std::ofstream none(places_.promises, std::ios::trunc);
  }

  Result<std::unique_ptr<Store>> OpenStore(io::Filesystem& disk, const fs::path& root) {
    return Store::Open(disk, clock_, OptionsFor(root));
  }

  /// Makes the cut cache.
  void CutPower(io::PowerCut cut) {
    fs::remove_all(places_.cut);
    fs::copy_file(places_.promises, places_.cut_promises, fs::copy_options::overwrite_existing);
    io::DurableDisk(places_.record).CutPower(places_.root, places_.cut, cut);
  }

  /// The next start, the same work again, and a further start.
  void CheckGoesOn(io::Filesystem& disk, const fs::path& root, Promises& promises, CrashOf crash) {
    io::FaultFilesystem counting(disk);
    auto opened = OpenStore(counting, root);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    Store& store = **opened;
    EXPECT_THAT(Broken(store, promises, crash), testing::IsEmpty());
    CrashWorkload workload(store, counting, promises);
    if (crash == CrashOf::kMachine) {
      ASSERT_TRUE(workload.Scrub());
    }
    CheckInvariants(store);
    int ingests_before = counting.Count("CreateFile", "ingests/");
    size_t lacking = workload.Lacking();
    auto finished = workload.Run();
    ASSERT_TRUE(finished.has_value()) << finished.error().message;
    EXPECT_LE(static_cast<size_t>(counting.Count("CreateFile", "ingests/") - ingests_before),
              lacking)
        << "something was fetched again";
    CheckInvariants(store);
    workload.ExpectDone();
    opened->reset();
    CheckStart(disk, root, promises, crash);
  }

  /// A start after which nothing is missing and that finds nothing to do.
  void CheckStart(io::Filesystem& disk, const fs::path& root, Promises& promises, CrashOf crash) {
    auto opened = OpenStore(disk, root);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    EXPECT_EQ((*opened)->recovery().dropped_orphans, 0u);
    CrashWorkload(**opened, disk, promises).ExpectDone();
    EXPECT_THAT(Broken(**opened, promises, crash), testing::IsEmpty());
    CheckInvariants(**opened);
  }

  /// All that may have been left of what is in the places.
  void CheckCrash() {
    for (io::PowerCut cut : io::PowerCutsAfter(crash_)) {
      SCOPED_TRACE(
          fmt::format("a power cut that takes {}, seed {}", io::PowerLossName(cut.loss), cut.seed));
      CutPower(cut);
      Promises promises(places_.cut_promises);
      CheckGoesOn(disk_, places_.cut, promises, CrashOf::kMachine);
      if (HasFailure()) return;
    }
    io::PowerLossFilesystem recording(disk_, places_.record);
    Promises promises(places_.promises);
    CheckGoesOn(recording, places_.root, promises, CrashOf::kProcess);
    if (HasFailure()) return;
    SCOPED_TRACE("and then a power cut");
    CutPower({});
    auto opened = OpenStore(disk_, places_.cut);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    EXPECT_THAT(Broken(**opened, promises, CrashOf::kMachine), testing::IsEmpty());
    ASSERT_TRUE(CrashWorkload(**opened, disk_, promises).Scrub());
    CheckInvariants(**opened);
  }

  // In memory: what a power cut takes is told from the calls, and true syncs take long.
  TemporaryDirectory directory_{"/dev/shm"};
  Places places_{directory_.path()};
  io::PosixFilesystem disk_;
  TestClock clock_;
  unsigned crash_ = 0;  ///< its number
};

TEST_F(StoreCrashTest, EveryCrashLeavesACacheThatGoesOn) {
  size_t points = 0;
  size_t kills = 0;
  for (std::string_view point : kFaultPoints) {
    // Of fills, and of what is read whole.
    bool others =
        point.starts_with("fill.") || point.starts_with("unpack.") || point.starts_with("layer.");
    if (others) continue;
    ++points;
    int passages = 0;
    for (int passage = 1; passage <= 3; ++passage) {
      std::string fault = fmt::format("{}:{}", point, passage);
      SCOPED_TRACE(fault);
      Clear();
      if (!IsWorkloadKilledAt(fault, places_)) break;
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

/// A sync that the code could have forgotten, and a moment at which a power cut shows it.
struct Forgotten {
  const char* name;
  Lie lie;
  const char* fault;
};

class ForgottenSyncTest : public StoreCrashTest, public testing::WithParamInterface<Forgotten> {};

TEST_P(ForgottenSyncTest, IsFoundOut) {
  ASSERT_TRUE(IsWorkloadKilledAt(GetParam().fault, places_, GetParam().lie));
  Promises promises(places_.promises);
  ASSERT_THAT(promises.Standing(), testing::Not(testing::IsEmpty()));
  CutPower({});
  auto opened = OpenStore(disk_, places_.cut);
  if (!opened) return;
  EXPECT_THAT(Broken(**opened, promises, CrashOf::kMachine), testing::Not(testing::IsEmpty()));
}

INSTANTIATE_TEST_SUITE_P(
    All, ForgottenSyncTest,
    testing::Values(
        Forgotten{"BytesOfBlobs", {"SyncData", "*/ingests/*"}, "ingest.committed:2"},
        Forgotten{"NamesOfBlobs", {"SyncDirectory", "*/blobs/sha256/*"}, "ingest.committed:2"},
        Forgotten{"BlobDirectories", {"SyncDirectory", "*/blobs/sha256"}, "ingest.committed:2"},
        Forgotten{"Journals", {"AppendAndSync", "*.verified"}, "ingest.committed:2"},
        Forgotten{"BytesOfRecords", {"SyncFile", "*/root/snapshots/*"}, "ingest.committed:2"},
        Forgotten{"NamesOfRecords", {"SyncDirectory", "*/root/snapshots"}, "ingest.committed:2"},
        Forgotten{"BytesOfReferences", {"SyncFile", "*/references/*"}, "evict.begun:1"},
        Forgotten{"NamesOfReferences", {"SyncDirectory", "*/references"}, "evict.begun:1"},
        Forgotten{"BytesOfHolds", {"SyncFile", "*/root/holds/*"}, "evict.begun:1"},
        Forgotten{"NamesOfHolds", {"SyncDirectory", "*/root/holds"}, "evict.begun:1"},
        Forgotten{"BytesOfVolumes", {"SyncFile", "*/root/volumes/*"}, "evict.begun:1"},
        Forgotten{"NamesOfVolumes", {"SyncDirectory", "*/root/volumes"}, "evict.begun:1"},
        Forgotten{"BytesOfGrants", {"SyncFile", "*/root/grants/*"}, "evict.begun:1"},
        Forgotten{"NamesOfGrants", {"SyncDirectory", "*/root/grants"}, "evict.begun:1"},
        Forgotten{"BytesOfTheKey", {"SyncFile", "*/root/.grant-key*"}, "evict.begun:1"},
        Forgotten{"BytesInTrees", {"SyncFile", "*/trees/*"}, "evict.begun:1"},
        Forgotten{"NamesInTrees", {"SyncDirectory", "*/trees/hub/*"}, "evict.begun:1"},
        Forgotten{"BytesOfStates", {"SyncFile", "*/root/ingests/*"}, "ingest.resumed:1"},
        Forgotten{"NamesOfIngests", {"SyncDirectory", "*/root/ingests"}, "ingest.resumed:1"},
        Forgotten{"TheRoot", {"SyncDirectory", "*/root"}, "ingest.committed:2"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace weighhouse::store
