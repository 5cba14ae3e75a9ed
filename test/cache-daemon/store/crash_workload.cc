#include "test/cache-daemon/store/crash_workload.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/digest.h"
#include "cache-daemon/store/ingest_state.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;

const TestFiles kFirst = {{"config.json", "{}"}, {"dir/model", PatternBytes(10000, 1)}};
const TestFiles kSecond = {{"config.json", "{}"}, {"other", PatternBytes(20000, 2)}};
const TestFiles kRotting = {{"weights", "these bytes will rot"}};
const TestFiles kHealed = {{"weights", "these bytes rot, and come back"}};
const TestFiles kInterrupted = {{"interrupted", PatternBytes(5 * 4096 + 7, 3)}};

Listing First() { return ListingOf(kFirst, {.identify = GitSha1Of}); }
Listing Second() { return ListingOf(kSecond, {.revision = std::string(40, 'b')}); }
Listing Rotting() { return ListingOf(kRotting, {.revision = std::string(40, 'c')}); }
Listing Interrupted() { return ListingOf(kInterrupted, {.revision = std::string(40, 'd')}); }
Listing Healed() { return ListingOf(kHealed, {.revision = std::string(40, 'e')}); }
Listing NextRevision(Listing listing) {
  listing.revision[0] = 'f';
  return listing;
}

constexpr const char* kHeld = "volume";
constexpr const char* kOrigin = "hf+https://hub.test/org/private";

std::string FingerprintOf(const std::string& pod) { return Digest::Of(pod).Hex(); }

/// What an ingest resumes is what was written there.
void CheckResumed(const Ingest& ingest, const std::string& content) {
  std::string staged = ReadTestFile(ingest.path());
  for (const ByteRange& range : ingest.resumed()) {
    EXPECT_EQ(Digest::Of(std::string_view(staged).substr(range.begin, range.size())),
              Digest::Of(std::string_view(content).substr(range.begin, range.size())));
  }
}

bool HasBlob(Store& store, const std::string& snapshot_id, const std::string& hex) {
  std::string path = RootLayout(store.root()).Blob(*Digest::FromHex(hex));
  if (!fs::exists(path) || Digest::Of(ReadTestFile(path)).Hex() != hex) return false;
  for (const Store::BlobUse& use : store.Blobs(snapshot_id)) {
    if (use.sha256.Hex() == hex) return true;
  }
  return false;
}

/// Whether both layouts of the snapshot can be had and name its revision.
bool IsServed(Store& store, const std::string& snapshot_id) {
  auto snapshot = store.FindSnapshot(snapshot_id);
  if (!snapshot || !snapshot->complete) return false;
  auto tree = store.EnsureTree(snapshot_id, Layout::kHub, "main");
  if (!tree) return false;
  size_t files = 0;
  bool named = false;
  for (const auto& [name, content] : FilesBelow(fs::path(store.root()) / *tree)) {
    named = named || (name.ends_with("refs/main") && content == snapshot->revision);
    if (name.contains("/snapshots/")) ++files;
  }
  return named && files == snapshot->files.size();
}

/// Whether a start goes on with the ingest's first `end` bytes, unless they are a blob's by now.
bool IsResumable(Store& store, const std::string& id, const std::string& hex, Bytes end) {
  if (fs::exists(RootLayout(store.root()).Blob(*Digest::FromHex(hex)))) return true;
  io::PosixFilesystem disk;
  auto state = ReadIngestState(disk, RootLayout(store.root()), id);
  return state && !state->durable.empty() && state->durable[0].begin == 0 &&
         state->durable[0].end >= end;
}

/// Whether the bad blob is not where blobs are. A good one may be.
bool IsQuarantined(Store& store, const std::string& hex) {
  std::string blob = RootLayout(store.root()).Blob(*Digest::FromHex(hex));
  return !fs::exists(blob) || Digest::Of(ReadTestFile(blob)).Hex() == hex;
}

bool IsHeld(const Store& store, const std::string& volume_id) {
  return std::ranges::any_of(store.Holds(),
                             [&](const HoldRecord& hold) { return hold.volume_id == volume_id; });
}

bool IsKept(Store& store, const std::string& promise, CrashOf crash) {
  size_t space = promise.find(' ');
  std::string kind = promise.substr(0, space);
  std::string what = promise.substr(space + 1);
  if (kind == "blob") return HasBlob(store, what.substr(0, 64), what.substr(65));
  if (kind == "complete") return IsServed(store, what);
  if (kind == "reference") return store.FindReference(what).has_value();
  if (kind == "gone") return !store.FindSnapshot(what).has_value();
  if (kind == "resumable") {
    return IsResumable(store, what.substr(0, 64), what.substr(65, 64),
                       std::stoull(what.substr(130)));
  }
  if (kind == "quarantined") return IsQuarantined(store, what);
  if (kind == "held") return IsHeld(store, what);
  if (kind == "volume") return store.FindVolume(what).has_value();
  if (kind == "granted") return store.GrantAsked(kOrigin, what, "").has_value();
  if (kind == "refused") return !store.GrantAsked(kOrigin, what, "").has_value();
  if (kind == "no-volume") return !store.FindVolume(what).has_value();
  // A power cut may bring it back, until the time at which it ends.
  if (kind == "unheld") return crash == CrashOf::kMachine || !IsHeld(store, what);
  CHECK(kind == "lease");
  return crash == CrashOf::kMachine || store.FindLease(what).has_value();
}

}  // namespace

void Promises::Make(std::string_view kind, std::string_view what) {
  std::ofstream(file_, std::ios::app) << fmt::format("+{} {}\n", kind, what) << std::flush;
}

void Promises::Withdraw(std::string_view kind, std::string_view what) {
  std::ofstream(file_, std::ios::app) << fmt::format("-{} {}\n", kind, what) << std::flush;
}

std::set<std::string> Promises::Standing() const {
  std::set<std::string> standing;
  std::ifstream lines(file_);
  std::string line;
  while (std::getline(lines, line)) {
    std::string promise = line.substr(1);
    if (line.starts_with('+')) {
      standing.insert(promise);
    } else {
      std::erase_if(standing, [&](const std::string& made) { return made.starts_with(promise); });
    }
  }
  return standing;
}

std::vector<std::string> Broken(Store& store, const Promises& promises, CrashOf crash) {
  std::vector<std::string> broken;
  for (const std::string& promise : promises.Standing()) {
    if (!IsKept(store, promise, crash)) broken.push_back(promise);
  }
  return broken;
}

Result<> CrashWorkload::Run() {
  TRY(Serve(First(), kFirst, "first"));
  TRY(Leave("first"));
  TRY(Grant("staying"));
  TRY(Grant("leaving"));
  TRY(Refuse("leaving"));
  TRY(Serve(Second(), kSecond, "second"));
  TRY(Hold(Second()));
  TRY(Evict(First(), "first"));
  TRY(Interrupt());
  TRY(Spoil(Healed(), kHealed, "healed"));
  TRY(Spoil(Rotting(), kRotting, "rotting"));
  TRY(Bring(Healed(), kHealed));
  TRY(Bring(NextRevision(Healed()), kHealed));
  for (const char* pod : {"healed", "rotting", "second"}) {
    TRY(Leave(pod));
  }
  TRY(EndHold());
  TRY(Refuse("staying"));
  store_.TidyQuarantine();
  ScrubState scrub = store_.ReadScrub();
  ++scrub.day;
  return store_.RecordScrub(scrub);
}

Result<> CrashWorkload::Bring(const Listing& listing, const TestFiles& files) {
  promises_.Withdraw("gone", listing.SnapshotId());
  Snapshot snapshot = TRY(store_.BeginSnapshot(listing));
  for (const SnapshotFile& file : snapshot.files) {
    const std::string& content = files.at(file.listed.path);
    if (!file.blob) {
      TRY(Put(store_, snapshot.id, file.listed.identity, content));
    }
    promises_.Make("blob", fmt::format("{} {}", snapshot.id, Digest::Of(content).Hex()));
  }
  TRY(store_.CompleteSnapshot(snapshot.id));
  promises_.Make("complete", snapshot.id);
  return {};
}

/// One model's way through the store, up to a lease on a tree.
Result<> CrashWorkload::Serve(const Listing& listing, const TestFiles& files,
                              const std::string& pod) {
  TRY(Bring(listing, files));
  std::string id = listing.SnapshotId();
  std::string tree = TRY(store_.EnsureTree(id, Layout::kFiles, ""));
  TRY(store_.EnsureTree(id, Layout::kHub, "main"));
  TRY(store_.RecordReference(
      {.fingerprint = FingerprintOf(pod), .text = "hf://org/name@main", .snapshot_id = id}));
  promises_.Make("reference", FingerprintOf(pod));
  LeaseRecord lease = LeaseOn(id, pod, tree);
  TRY(store_.TakeLease(lease));
  promises_.Make("lease", lease.id);
  return {};
}

Result<> CrashWorkload::Leave(const std::string& pod) {
  std::string lease = LeaseOn("", pod).id;
  promises_.Withdraw("lease", lease);
  return store_.DropLease(lease);
}

Result<> CrashWorkload::Hold(const Listing& listing) {
  promises_.Withdraw("unheld", kHeld);
  auto now = std::chrono::system_clock::time_point(std::chrono::seconds(1'800'000'000));
  TRY(store_.TakeHold(HoldFor(kHeld, listing.SnapshotId(), 0, now)));
  promises_.Make("held", kHeld);
  promises_.Withdraw("no-volume", kHeld);
  TRY(store_.RecordVolume({.volume_id = kHeld,
                           .request_digest = Digest::Of(kHeld).Hex(),
                           .model = "hf://org/name@main",
                           .created = now}));
  promises_.Make("volume", kHeld);
  return {};
}

Result<> CrashWorkload::EndHold() {
  promises_.Withdraw("volume", kHeld);
  TRY(store_.ForgetVolume(kHeld));
  promises_.Make("no-volume", kHeld);
  promises_.Withdraw("held", kHeld);
  TRY(store_.DropHold(kHeld));
  promises_.Make("unheld", kHeld);
  return {};
}

Result<> CrashWorkload::Grant(const std::string& credential) {
  promises_.Withdraw("refused", credential);
  TRY(store_.RecordGrant({.origin = kOrigin,
                          .credential = credential,
                          .pod_namespace = "default",
                          .asked = std::chrono::steady_clock::now()}));
  promises_.Make("granted", credential);
  return {};
}

Result<> CrashWorkload::Refuse(const std::string& credential) {
  promises_.Withdraw("granted", credential);
  TRY(store_.DropGrant(kOrigin, credential));
  promises_.Make("refused", credential);
  return {};
}

Result<> CrashWorkload::Evict(const Listing& listing, const std::string& pod) {
  std::string id = listing.SnapshotId();
  promises_.Withdraw("blob", id);
  promises_.Withdraw("complete", id);
  promises_.Withdraw("reference", FingerprintOf(pod));
  TRY(store_.Evict(id));
  promises_.Make("gone", id);
  return {};
}

/// A file that comes in two attempts, the second going on with the first's bytes, after one whose
/// bytes prove wrong.
Result<> CrashWorkload::Interrupt() {
  const std::string& content = kInterrupted.at("interrupted");
  Snapshot snapshot = TRY(store_.BeginSnapshot(Interrupted()));
  const ByteRange head{.begin = 0, .end = 8192};
  promises_.Withdraw("resumable", IngestIdOf(content));
  for (bool wrong : {true, false}) {
    if (snapshot.files[0].blob) break;
    std::unique_ptr<Ingest> ingest =
        TRY(store_.StartIngest(IngestIdOf(content), Sha256Of(content), content.size()));
    CheckResumed(*ingest, content);
    TRY(WriteStaged(*ingest, content, head));
    TRY(ingest->RecordDurable({head}));
    if (wrong) {
      ingest->Discard();
    } else {
      promises_.Make("resumable", fmt::format("{} {} {}", IngestIdOf(content),
                                              Digest::Of(content).Hex(), head.end));
    }
  }
  return Bring(Interrupted(), kInterrupted);
}

/// A model of which two revisions share a blob, whose bytes then change on the disk, behind the
/// store's back, while a pod has it.
Result<> CrashWorkload::Spoil(const Listing& listing, const TestFiles& files,
                              const std::string& pod) {
  TRY(Bring(listing, files));
  TRY(Bring(NextRevision(listing), files));
  std::string tree = TRY(store_.EnsureTree(listing.SnapshotId(), Layout::kFiles, ""));
  LeaseRecord lease = LeaseOn(listing.SnapshotId(), pod, tree);
  TRY(store_.TakeLease(lease));
  promises_.Make("lease", lease.id);
  for (const std::string& id : {listing.SnapshotId(), NextRevision(listing).SnapshotId()}) {
    promises_.Withdraw("blob", id);
    promises_.Withdraw("complete", id);
  }
  Digest sha256 = Digest::Of(files.begin()->second);
  promises_.Withdraw("quarantined", sha256.Hex());
  TRY(Rot(RootLayout(store_.root()).Blob(sha256)));
  TRY(store_.VerifyBlob(sha256, {}));
  promises_.Make("quarantined", sha256.Hex());
  return {};
}

/// In place, as a failing disk does, and for good.
Result<> CrashWorkload::Rot(const std::string& blob) {
  fs::permissions(blob, fs::perms(0644));
  std::ofstream(blob, std::ios::in | std::ios::out | std::ios::binary) << kRot;
  fs::permissions(blob, fs::perms(0444));
  return filesystem_.SyncFile(blob);
}

Result<> CrashWorkload::Scrub() {
  for (const TestFiles* files : {&kHealed, &kRotting}) {
    auto verified = store_.VerifyBlob(Digest::Of(files->begin()->second), {});
    bool there = verified || verified.error().code != Code::kNotFound;
    if (there && !verified) return std::unexpected(std::move(verified).error());
  }
  return {};
}

size_t CrashWorkload::Lacking() const {
  auto interrupted = store_.FindSnapshot(Interrupted().SnapshotId());
  size_t lacking = interrupted && interrupted->files[0].blob ? 1 : 3;
  for (const Listing& listing : {First(), Second(), Rotting(), Healed()}) {
    auto known = store_.FindSnapshot(listing.SnapshotId());
    if (!known) lacking += listing.files.size();
    if (!known) continue;
    for (const SnapshotFile& file : known->files) lacking += file.blob ? 0 : 1;
  }
  return lacking;
}

void CrashWorkload::ExpectDone() const {
  EXPECT_FALSE(store_.FindSnapshot(First().SnapshotId()).has_value());
  EXPECT_TRUE(store_.FindSnapshot(Second().SnapshotId())->complete);
  EXPECT_TRUE(store_.FindSnapshot(Interrupted().SnapshotId())->complete);
  EXPECT_FALSE(store_.FindSnapshot(Rotting().SnapshotId())->complete);
  EXPECT_TRUE(store_.FindSnapshot(Healed().SnapshotId())->complete);
  EXPECT_EQ(store_.Quarantined().blobs, 1u) << "only what was not brought again";
  EXPECT_THAT(store_.DamagedLeases(), testing::IsEmpty());
  EXPECT_FALSE(IsHeld(store_, kHeld));
  EXPECT_FALSE(store_.FindVolume(kHeld).has_value());
  EXPECT_EQ(store_.Count().grants, 0u);
}

}  // namespace weighhouse::store
