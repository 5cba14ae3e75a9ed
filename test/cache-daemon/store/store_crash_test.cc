// Kills a child at every fault point of the store, at its first, second and third passage, and
// looks at what the next start makes of it.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <fmt/format.h>

#include "base/fault.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;

const TestFiles kFirst = {{"config.json", "{}"}, {"dir/model", PatternBytes(10000, 1)}};
const TestFiles kSecond = {{"config.json", "{}"}, {"other", PatternBytes(20000, 2)}};
const TestFiles kRotting = {{"weights", "these bytes will rot"}};
const TestFiles kHealed = {{"weights", "these bytes rot, and come back"}};
const TestFiles kInterrupted = {{"interrupted", PatternBytes(5 * 4096 + 7, 3)}};
constexpr const char* kChildRoot = "STORE_CRASH_ROOT";

Listing First() { return ListingOf(kFirst, {.identify = GitSha1Of}); }
Listing Second() { return ListingOf(kSecond, {.revision = std::string(40, 'b')}); }
Listing Interrupted() {
  return ListingOf(kInterrupted, {.revision = std::string(40, 'd'), .identify = Sha256Of});
}
Listing Healed() { return ListingOf(kHealed, {.revision = std::string(40, 'e')}); }
Listing NextRevision(Listing listing) {
  listing.revision[0] = 'f';
  return listing;
}
Listing Rotting() { return ListingOf(kRotting, {.revision = std::string(40, 'c')}); }

/// One model's way through the store: begin, ingest, commit, complete, trees in both layouts,
/// lease, reference, release.
Result<> Serve(Store& store, const Listing& listing, const TestFiles& files,
               const std::string& pod) {
  Snapshot snapshot = TRY(Fill(store, listing, files));
  std::string tree = TRY(store.EnsureTree(snapshot.id, Layout::kFiles, ""));
  TRY(store.EnsureTree(snapshot.id, Layout::kHub, "main"));
  TRY(store.RecordReference({.fingerprint = Digest::Of(pod).Hex(),
                             .text = "hf://org/name@main",
                             .snapshot_id = snapshot.id}));
  TRY(store.TakeLease(LeaseOn(snapshot.id, pod, tree)));
  return store.DropLease(LeaseOn(snapshot.id, pod).id);
}

/// What an ingest resumes is what was written there.
void CheckResumed(const Ingest& ingest, const std::string& content) {
  std::string staged = ReadTestFile(ingest.path());
  for (const ByteRange& range : ingest.resumed()) {
    EXPECT_EQ(Digest::Of(std::string_view(staged).substr(range.begin, range.size())),
              Digest::Of(std::string_view(content).substr(range.begin, range.size())));
  }
}

/// A file that comes in two attempts, the second going on with the first's bytes, and one whose
/// bytes prove wrong.
Result<> FillInterrupted(Store& store) {
  const std::string& content = kInterrupted.at("interrupted");
  Snapshot snapshot = TRY(store.BeginSnapshot(Interrupted()));
  auto begin = [&](FileIdentity identity) {
    return store.StartIngest(IngestIdOf(content), identity, content.size());
  };
  const ByteRange head{.begin = 0, .end = 8192};
  if (!snapshot.files[0].blob) {
    std::unique_ptr<Ingest> wrong = TRY(begin(Sha256Of(content)));
    CheckResumed(*wrong, content);
    TRY(WriteStaged(*wrong, content, head));
    TRY(wrong->RecordDurable({head}));
    wrong->Discard();
    wrong.reset();
    std::unique_ptr<Ingest> first = TRY(begin(Sha256Of(content)));
    CheckResumed(*first, content);
    TRY(WriteStaged(*first, content, head));
    TRY(first->RecordDurable({head}));
  }
  TRY(Fill(store, Interrupted(), kInterrupted));
  return {};
}

/// The blob gets other bytes, behind the store's back, in place as a failing disk does.
void Rot(Store& store, const std::string& content) {
  std::string blob = RootLayout(store.root()).Blob(Digest::Of(content));
  fs::permissions(blob, fs::perms(0644));
  std::ofstream(blob, std::ios::in | std::ios::out | std::ios::binary) << "rot";
  fs::permissions(blob, fs::perms(0444));
}

/// A model of which two revisions share a blob, which rots while a pod has it.
Result<> Spoil(Store& store, const Listing& listing, const TestFiles& files,
               const std::string& pod) {
  TRY(Fill(store, listing, files));
  TRY(Fill(store, NextRevision(listing), files));
  std::string tree = TRY(store.EnsureTree(listing.SnapshotId(), Layout::kFiles, ""));
  TRY(store.TakeLease(LeaseOn(listing.SnapshotId(), pod, tree)));
  const std::string& content = files.begin()->second;
  Rot(store, content);
  TRY(store.VerifyBlob(Digest::Of(content), {}));
  return {};
}

Result<> EndPod(Store& store, const std::string& pod) {
  TRY(store.DropLease(LeaseOn("", pod).id));
  store.TidyQuarantine();
  return {};
}

/// Everything the store does. May be run again on what a killed run left.
Result<> Workload(Store& store) {
  TRY(Serve(store, First(), kFirst, "first"));
  TRY(Serve(store, Second(), kSecond, "second"));
  TRY(store.Evict(First().SnapshotId()));
  TRY(FillInterrupted(store));
  TRY(Spoil(store, Healed(), kHealed, "healed"));
  TRY(Spoil(store, Rotting(), kRotting, "rotting"));
  TRY(Fill(store, Healed(), kHealed));
  TRY(Fill(store, NextRevision(Healed()), kHealed));
  TRY(EndPod(store, "healed"));
  TRY(EndPod(store, "rotting"));
  ScrubState scrub = store.ReadScrub();
  ++scrub.day;
  TRY(store.RecordScrub(scrub));
  return {};
}

class StoreCrashTest : public StoreTest {
 protected:
  /// Runs the workload in a program of its own (a fork alone would share what this one has read of
  /// WEIGHHOUSE_FAULT); its wait status.
  int RunChild(const std::string& fault) {
    pid_t child = ::fork();
    if (child == 0) {
      ::setenv("WEIGHHOUSE_FAULT", fault.c_str(), 1);
      ::setenv(kChildRoot, Root().c_str(), 1);
      int quiet = ::open("/dev/null", O_WRONLY);
      ::dup2(quiet, STDOUT_FILENO);
      ::execl("/proc/self/exe", "store_crash_test", "--gtest_filter=StoreCrashChild.*", nullptr);
      ::_exit(127);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }

  /// The blobs whose commit had returned before the kill, or was as good as done: below blobs/ and
  /// listed.
  std::vector<std::string> Committed() const {
    std::vector<std::string> names;
    for (const auto& [name, content] : FilesBelow(Root() / "blobs/sha256")) {
      if (Digest::Of(content).Hex() == fs::path(name).filename()) names.push_back(name);
    }
    return names;
  }

  /// What must hold whenever a store was opened.
  void CheckInvariants() {
    ExpectOnlyTrueBytes(*store_);
    ExpectNoGarbage(Root());
    std::set<std::string> listed;
    for (const Snapshot& snapshot : store_->Snapshots()) {
      for (const SnapshotFile& file : snapshot.files) {
        if (file.blob) listed.insert(file.blob->Hex());
        listed.insert(file.listed.identity.value);
      }
    }
    for (const std::string& name : Committed()) {
      EXPECT_TRUE(listed.contains(fs::path(name).filename())) << "an orphan: " << name;
    }
    for (const LeaseRecord& lease : store_->Leases()) {
      EXPECT_TRUE(fs::exists(Absolute(lease.tree))) << "a lease on nothing";
      EXPECT_EQ(IsDamaged(lease), ReadsRot(lease)) << lease.pod_name;
    }
    Bytes used = BlocksBelow("blobs") + BlocksBelow("quarantine");
    if (fs::is_empty(Root() / "ingests")) {
      EXPECT_EQ(store_->Space()->used, used);
    }
  }
  bool IsDamaged(const LeaseRecord& lease) const {
    return std::ranges::any_of(store_->DamagedLeases(),
                               [&](const LeaseRecord& one) { return one.id == lease.id; });
  }
  bool ReadsRot(const LeaseRecord& lease) const {
    return std::ranges::any_of(FilesBelow(Absolute(lease.tree)),
                               [](const auto& file) { return file.second.starts_with("rot"); });
  }
  Bytes BlocksBelow(const std::string& directory) const {
    Bytes sum = 0;
    for (const auto& [name, content] : FilesBelow(Root() / directory)) {
      sum += (content.size() + 4095) / 4096 * 4096;
    }
    return sum;
  }

  /// The next start, and the same work again.
  void CheckAfterKill(const std::string& point) {
    std::vector<std::string> committed = Committed();
    Open();
    if (HasFatalFailure()) return;
    CheckInvariants();
    if (!point.starts_with("evict.")) {
      // What is on its way out need not come back; everything else that had its name keeps it.
      for (const std::string& name : committed)
        EXPECT_TRUE(fs::exists(Root() / "blobs/sha256" / name));
    }
    int ingests_before = filesystem_.Count("CreateFile", "ingests/");
    size_t lacking = Lacking();
    auto finished = Workload(*store_);
    ASSERT_TRUE(finished.has_value()) << finished.error().message;
    EXPECT_LE(static_cast<size_t>(filesystem_.Count("CreateFile", "ingests/") - ingests_before),
              lacking)
        << "something was fetched again";
    CheckInvariants();
    EXPECT_FALSE(store_->FindSnapshot(First().SnapshotId()).has_value());
    EXPECT_TRUE(store_->FindSnapshot(Second().SnapshotId())->complete);
    EXPECT_FALSE(store_->FindSnapshot(Rotting().SnapshotId())->complete);
    EXPECT_TRUE(store_->FindSnapshot(Healed().SnapshotId())->complete);
    EXPECT_EQ(store_->Quarantined().blobs, 1u) << "only what was not brought again";
    EXPECT_TRUE(store_->DamagedLeases().empty());
    Reopen();
    EXPECT_EQ(store_->recovery().dropped_orphans, 0u);
    EXPECT_EQ(store_->Quarantined().blobs, 1u);
    CheckInvariants();
    Close();
  }

  /// How many files the workload must bring: those that no known snapshot has, and once more the
  /// one that it discards.
  size_t Lacking() const {
    auto interrupted = store_->FindSnapshot(Interrupted().SnapshotId());
    size_t lacking = interrupted && interrupted->files[0].blob ? 0 : 2;
    ++lacking;  // what rots and is brought again
    for (const Listing& listing : {First(), Second(), Rotting(), Healed()}) {
      auto known = store_->FindSnapshot(listing.SnapshotId());
      if (!known) lacking += listing.files.size();
      if (!known) continue;
      for (const SnapshotFile& file : known->files) lacking += file.blob ? 0 : 1;
    }
    return lacking;
  }
};

TEST(StoreCrashChild, Works) {
  const char* root = std::getenv(kChildRoot);
  if (root == nullptr) GTEST_SKIP() << "only for the crash test's children";
  io::PosixFilesystem disk;
  TestClock clock;
  auto store = Store::Open(disk, clock, {.root = root, .min_free = 0, .boot_id = "boot"});
  ASSERT_TRUE(store.has_value()) << store.error().message;
  auto done = Workload(**store);
  ASSERT_TRUE(done.has_value()) << done.error().message;
}

bool WasKilled(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }

TEST_F(StoreCrashTest, EveryKillLeavesACacheThatGoesOn) {
  size_t points = 0;
  size_t kills = 0;
  for (std::string_view point : kFaultPoints) {
    if (point.starts_with("fill.")) continue;
    ++points;
    int passages = 0;
    for (int passage = 1; passage <= 3; ++passage) {
      SCOPED_TRACE(fmt::format("{}:{}", point, passage));
      fs::remove_all(Root());
      int status = RunChild(fmt::format("{}:{}", point, passage));
      if (!WasKilled(status)) {
        ASSERT_EQ(status, 0) << "the workload failed by itself";
        break;
      }
      ++passages;
      CheckAfterKill(std::string(point));
      if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
    ASSERT_GT(passages, 0) << point << " is never reached";
    fmt::print("{}: killed {} times\n", point, passages);
    kills += static_cast<size_t>(passages);
  }
  fmt::print("{} fault points of the store, {} kills\n", points, kills);
}

}  // namespace
}  // namespace weighhouse::store
