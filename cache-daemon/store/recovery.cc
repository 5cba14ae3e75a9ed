#include "cache-daemon/store/recovery.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/store/blobs_on_disk.h"
#include "cache-daemon/store/record_file.h"
#include "cache-daemon/store/record_scan.h"
#include "cache-daemon/store/tidy_names.h"
#include "cache-daemon/store/trash.h"

namespace weighhouse::store {
namespace {

constexpr Bytes kMaxSmallFile = kMiB;

/// `name` without `suffix`, if what is left is 64 hexadecimal digits; else "".
std::string IdOf(const std::string& name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return "";
  std::string id = name.substr(0, name.size() - suffix.size());
  return IsHex(id, 64) ? id : "";
}

void SayStays(const Error& error) {
  LogRepeated(LogLevel::kWarning, fmt::format("store: garbage stays: {}", error.message));
}

class Recovery {
 public:
  Recovery(io::Filesystem& filesystem, const RootLayout& layout)
      : filesystem_(filesystem), layout_(layout), trash_(filesystem, layout) {}

  Result<Recovered> Run() {
    TRY(ScanBlobsAndSnapshots());
    TRY(ReadLeasesHoldsAndVolumes());
    FindLostBlobs();
    TRY(SyncWhatWasFound());
    TRY(ScanTrees());
    RecordLostBlobs();
    TRY(InsertSnapshots());
    TRY(ScanIngests());
    DropStrayLeases();
    TRY(ReadReferences());
    DropOrphanBlobs();
    TRY(CountQuarantine());
    trash_.Empty();
    summary_.blobs = index_.blobs.present_count();
    summary_.snapshots = records_.size();
    summary_.leases = index_.leases.size();
    summary_.holds = index_.holds.size();
    summary_.volumes = index_.volumes.size();
    return Recovered{.index = std::move(index_), .summary = summary_};
  }

 private:
  Result<> ScanBlobsAndSnapshots();
  Result<> TakeSnapshot(const std::string& id, Result<SnapshotRecord> record);
  Result<> ReadLeasesHoldsAndVolumes();
  void FindLostBlobs();
  Result<> SyncWhatWasFound();
  Result<> ScanTrees();
  /// A tree that a record names.
  struct OwnedTree {
    const Snapshot* owner = nullptr;
    const TreeRecord* tree = nullptr;
  };
  void AdoptTree(const std::string& path, const OwnedTree& owned);
  void AdoptUnknownTree(const std::string& path);
  void RecordLostBlobs();
  Result<> InsertSnapshots();
  Result<> AddOnlyListed(BlobSizes& sizes);
  Result<> ScanIngests();
  Result<> AdoptIngest(const std::string& id);
  bool HasStrayLeases() const;
  void DropStrayLeases();
  Result<> ReadReferences();
  void DropOrphanBlobs();
  Result<> CountQuarantine();

  /// Parses each file in `directory` whose name is an id and `suffix`; what is damaged goes.
  template <class Parse, class Put>
  Result<> ReadEach(const std::string& directory, std::string_view suffix, Parse parse, Put put);
  void Remove(const std::string& path) { RemoveGarbage(filesystem_, path); }
  void DropFile(const std::string& path, std::string_view why);

  io::Filesystem& filesystem_;
  const RootLayout& layout_;
  Trash trash_;
  Index index_;
  RecoverySummary summary_;
  BlobsOnDisk on_disk_;
  std::map<std::string, SnapshotRecord> records_;
  std::set<std::string> lost_;  // snapshots whose own record names a blob that is gone
};

void Recovery::DropFile(const std::string& path, std::string_view why) {
  LogRepeated(LogLevel::kWarning, fmt::format("store: dropped {}: {}", path, why));
  Remove(path);
}

Result<> Recovery::ScanBlobsAndSnapshots() {
  std::vector<std::string> names = TRY(TidyNames(filesystem_, layout_.SnapshotsDirectory()));
  std::vector<std::string> ids;
  for (const std::string& name : names) {
    std::string id = IdOf(name, ".json");
    if (!id.empty()) ids.push_back(std::move(id));
  }
  RecordScan scan(filesystem_, layout_, std::move(ids));
  on_disk_ = TRY(BlobsOnDisk::Scan(filesystem_, layout_));
  std::vector<Result<SnapshotRecord>> records = scan.Finish();
  for (size_t i = 0; i < records.size(); ++i) {
    TRY(TakeSnapshot(scan.ids()[i], std::move(records[i])));
  }
  for (const std::string& name : names) {
    std::string id = IdOf(name, ".verified");
    if (id.empty()) continue;
    auto found = records_.find(id);
    bool needed = found != records_.end() && !found->second.snapshot.complete;
    if (!needed) Remove(layout_.SnapshotJournal(id));
  }
  return {};
}

Result<> Recovery::TakeSnapshot(const std::string& id, Result<SnapshotRecord> record) {
  if (record.has_value()) {
    records_.emplace(id, *std::move(record));
    return {};
  }
  // What can't be read just now may be whole: its blobs must not be taken for garbage.
  if (!IsDamage(record.error().code)) return std::unexpected(std::move(record).error());
  LogRepeated(LogLevel::kError,
              fmt::format("store: {} can't be read and is taken as absent, its files will be "
                          "fetched again: {}",
                          layout_.SnapshotRecord(id), record.error().message));
  return {};
}

template <class Parse, class Put>
Result<> Recovery::ReadEach(const std::string& directory, std::string_view suffix, Parse parse,
                            Put put) {
  std::vector<std::string> names = TRY(TidyNames(filesystem_, directory));
  for (const std::string& name : names) {
    std::string path = fmt::format("{}/{}", directory, name);
    std::string id = IdOf(name, suffix);
    Result<std::string> text = filesystem_.ReadFile(path, kMaxSmallFile);
    bool lost = !text && (id.empty() || IsDamage(text.error().code));
    if (!text && !lost) return std::unexpected(std::move(text).error());
    auto record = text ? parse(*text, id) : std::unexpected(std::move(text).error());
    if (!id.empty() && record.has_value()) {
      put(id, *std::move(record));
    } else {
      DropFile(path, id.empty() ? "its name is no id" : record.error().message);
    }
  }
  return {};
}

Result<> Recovery::ReadLeasesHoldsAndVolumes() {
  auto lease = [&](const std::string&, const LeaseRecord& read) { index_.leases.Put(read); };
  auto hold = [&](const std::string& id, HoldRecord read) {
    index_.holds.Put(id, {.record = std::move(read), .durable = true});
  };
  auto volume = [&](const std::string&, const VolumeRecord& read) { index_.volumes.Put(read); };
  TRY(ReadEach(layout_.LeasesDirectory(), "", ParseLease, lease));
  TRY(ReadEach(layout_.HoldsDirectory(), ".json", ParseHold, hold));
  return ReadEach(layout_.VolumesDirectory(), ".json", ParseVolume, volume);
}

void Recovery::FindLostBlobs() {
  for (auto& [id, record] : records_) {
    for (size_t i = 0; i < record.snapshot.files.size(); ++i) {
      SnapshotFile& file = record.snapshot.files[i];
      if (!file.blob || on_disk_.Contains(*file.blob)) continue;
      // Of a filling snapshot that is a journal's line whose rename didn't happen.
      if (record.snapshot.complete) {
        LogRepeated(LogLevel::kError,
                    fmt::format("store: blob {} of {} is gone, it will be fetched again",
                                file.blob->Hex(), id));
      }
      file.blob.reset();
      record.borrowed[i] = false;
      lost_.insert(id);
    }
    if (lost_.contains(id)) record.snapshot.complete = false;
  }
}

// A process that died between a rename and its sync left names that we see and the disk doesn't
// have: what goes on with them takes them for durable. A complete snapshot's blobs were synced
// before its record was written.
Result<> Recovery::SyncWhatWasFound() {
  std::set<std::string> directories = {layout_.SnapshotsDirectory(), layout_.ReferencesDirectory(),
                                       layout_.HoldsDirectory(), layout_.VolumesDirectory()};
  for (const auto& [id, record] : records_) {
    if (record.snapshot.complete) continue;
    for (const SnapshotFile& file : record.snapshot.files) {
      if (!file.blob) continue;
      directories.insert(layout_.BlobDirectory(*file.blob));
      directories.insert(layout_.BlobsDirectory());
    }
  }
  for (const std::string& directory : directories) TRY(filesystem_.SyncDirectory(directory));
  return {};
}

Result<> Recovery::ScanTrees() {
  std::map<std::string, OwnedTree> recorded;
  for (const auto& [id, record] : records_) {
    for (const TreeRecord& tree : record.trees) {
      recorded.emplace(tree.path, OwnedTree{.owner = &record.snapshot, .tree = &tree});
    }
  }
  for (std::string_view directory : {RootLayout::kFilesTrees, RootLayout::kHubTrees}) {
    std::vector<std::string> names = TRY(TidyNames(filesystem_, layout_.Absolute(directory)));
    for (const std::string& name : names) {
      std::string path = fmt::format("{}/{}", directory, name);
      auto found = recorded.find(path);
      if (found == recorded.end()) {
        AdoptUnknownTree(path);
      } else {
        AdoptTree(path, found->second);
      }
    }
  }
  return {};
}

void Recovery::AdoptTree(const std::string& path, const OwnedTree& owned) {
  const auto& [owner, tree] = owned;
  // A tree of a snapshot that lost a blob may hold the bad file that was put into quarantine.
  bool good = !tree->withdrawn && owner->complete;
  if (!good && !index_.leases.HoldsTree(path, owner->id)) {
    auto moved = trash_.Move(path);
    if (moved.has_value()) return;
    SayStays(moved.error());
  }
  index_.trees.Add(path, {.snapshot_id = owner->id,
                          .layout = tree->layout,
                          .requested_revision = tree->requested_revision,
                          .state = good ? TreeBook::State::kReady : TreeBook::State::kWithdrawn,
                          .copied = tree->copied});
}

void Recovery::AdoptUnknownTree(const std::string& path) {
  if (HasStrayLeases()) {
    LogRepeated(
        LogLevel::kWarning,
        fmt::format("store: {} belongs to no known snapshot and stays for pods that may have it",
                    path));
    index_.trees.Add(path, {.state = TreeBook::State::kWithdrawn});
    return;
  }
  ++summary_.dropped_orphans;
  auto moved = trash_.Move(path);
  if (!moved.has_value()) SayStays(moved.error());
}

// Written down, because the blob may come back through another snapshot, and the old tree must not
// be served then.
void Recovery::RecordLostBlobs() {
  for (const std::string& id : lost_) {
    SnapshotRecord record = records_.at(id);
    record.trees = index_.trees.Records(id);
    auto written = WriteSnapshotRecord(filesystem_, layout_, record);
    if (!written.has_value())
      LogRepeated(LogLevel::kError,
                  fmt::format("store: snapshot {}: {}", id, written.error().message));
  }
}

Result<> Recovery::InsertSnapshots() {
  BlobSizes sizes;
  for (const auto& [id, record] : records_) {
    for (const SnapshotFile& file : record.snapshot.files) {
      if (file.blob) sizes.Add(*file.blob, file.listed.size);
    }
  }
  sizes.Sort();
  TRY(AddOnlyListed(sizes));
  for (const auto& [sha256, size] : sizes.entries()) index_.blobs.AddPresent(sha256, size);
  for (const auto& [id, record] : records_) index_.Insert(record);
  return {};
}

/// Of blobs that are verified for nobody who is still here: the listing's size may be a lie.
Result<> Recovery::AddOnlyListed(BlobSizes& sizes) {
  BlobSizes added;
  for (const auto& [id, record] : records_) {
    if (record.snapshot.complete) continue;
    for (const auto& [sha256, claimed] : ListedBlobs(record.snapshot)) {
      if (sizes.Contains(sha256) || !on_disk_.Contains(sha256)) continue;
      io::FileStatus status = TRY(filesystem_.Status(layout_.Blob(sha256)));
      added.Add(sha256, status.size);
    }
  }
  for (const auto& [sha256, size] : added.entries()) sizes.Add(sha256, size);
  sizes.Sort();
  return {};
}

Result<> Recovery::ScanIngests() {
  std::vector<std::string> ids = TRY(TidyNames(filesystem_, layout_.IngestsDirectory()));
  for (const std::string& id : ids) {
    Result<> adopted = AdoptIngest(id);
    if (adopted) continue;
    ++summary_.dropped_ingests;
    LogRepeated(LogLevel::kInfo, fmt::format("store: dropped ingest {}: {}", Printable(id),
                                             adopted.error().message));
    Remove(layout_.Ingest(id));
  }
  summary_.kept_ingests = index_.idle_ingests.entries().size();
  return {};
}

/// An error says why nothing can go on with it.
Result<> Recovery::AdoptIngest(const std::string& id) {
  if (!IsHex(id, 64)) return Fail(Code::kDataLoss, "not an ingest's name");
  IngestState state = TRY(ReadIngestState(filesystem_, layout_, id));
  if (!index_.IsWanted(state.content)) {
    return Fail(Code::kNotFound, "no incomplete snapshot lists its file");
  }
  TRY(TidyNames(filesystem_, layout_.Ingest(id)));  // a state that was half written goes
  io::FileStatus data = TRY(filesystem_.Status(layout_.IngestData(id)));
  Bytes allocated = std::min(RoundUpToBlock(data.allocated), RoundUpToBlock(state.content.size));
  index_.idle_ingests.Add(id, std::move(state.content), allocated);
  return {};
}

bool Recovery::HasStrayLeases() const {
  std::vector<LeaseRecord> leases = index_.leases.All();
  return std::ranges::any_of(
      leases, [&](const LeaseRecord& lease) { return !records_.contains(lease.snapshot_id); });
}

// A leased snapshot is never evicted, so its record is damaged: as long as a tree is there that may
// be its, pods may read it.
void Recovery::DropStrayLeases() {
  bool stray_trees = std::ranges::any_of(
      index_.trees.entries(), [](const auto& tree) { return tree.second.snapshot_id.empty(); });
  for (const LeaseRecord& lease : index_.leases.All()) {
    if (stray_trees || records_.contains(lease.snapshot_id)) continue;
    DropFile(layout_.Lease(lease.id),
             fmt::format("its snapshot {} is not known", lease.snapshot_id));
    index_.leases.Remove(lease.id);
  }
}

Result<> Recovery::ReadReferences() {
  TRY(TidyNames(filesystem_, layout_.LayersDirectory()));
  return ReadEach(layout_.ReferencesDirectory(), ".json", ParseReference,
                  [&](const std::string& id, const ReferenceRecord& reference) {
                    if (records_.contains(reference.snapshot_id)) {
                      index_.references.Put(reference);
                    } else {
                      Remove(layout_.Reference(id));
                    }
                  });
}

void Recovery::DropOrphanBlobs() {
  for (const Digest& sha256 : on_disk_.all()) {
    if (index_.blobs.Users(sha256) > 0) continue;
    ++summary_.dropped_orphans;
    Remove(layout_.Blob(sha256));
  }
}

Result<> Recovery::CountQuarantine() {
  std::vector<std::string> names = TRY(TidyNames(filesystem_, layout_.QuarantineDirectory()));
  for (const std::string& name : names) {
    auto sha256 = Digest::FromHex(name);
    if (!sha256.has_value()) continue;
    io::FileStatus status = TRY(filesystem_.Status(layout_.Quarantined(*sha256)));
    index_.ledger.SetQuarantined(*sha256, RoundUpToBlock(status.size));
  }
  return {};
}

}  // namespace

Result<Recovered> Recover(io::Filesystem& filesystem, const RootLayout& layout) {
  return Recovery(filesystem, layout).Run();
}

}  // namespace weighhouse::store
