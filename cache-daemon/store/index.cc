#include "cache-daemon/store/index.h"

#include <algorithm>
#include <iterator>
#include <optional>

namespace weighhouse::store {
namespace {

/// The blob that is known to be the file's content, by the evidence rule.
std::optional<Digest> KnownBlob(const Index& index, const std::string& origin,
                                const ListedFile& file,
                                const std::map<std::pair<FileIdentity, Bytes>, Digest>& delivered) {
  auto found = delivered.find(std::pair(file.identity, file.size));
  if (found != delivered.end()) return found->second;
  if (file.identity.kind != FileIdentity::Kind::kSha256) return std::nullopt;
  auto named = Digest::FromHex(file.identity.value);
  if (!named.has_value() || !index.catalog.IsDeliveredFor(origin, *named)) return std::nullopt;
  return *named;
}

bool Lacks(const Snapshot& snapshot, const IngestContent& content) {
  return !snapshot.complete && std::ranges::any_of(snapshot.files, [&](const SnapshotFile& file) {
    return !file.blob && file.listed.size == content.size &&
           file.listed.identity == content.identity;
  });
}

}  // namespace

void Index::Insert(const SnapshotRecord& record) {
  catalog.Insert(record);
  for (const auto& [sha256, size] : ListedBlobs(record.snapshot)) blobs.AddUser(sha256, size);
}

void Index::Replace(const SnapshotRecord& record) {
  std::map<Digest, Bytes> before = ListedBlobs(catalog.Find(record.snapshot.id)->snapshot);
  catalog.Replace(record);
  bool counts = counted.contains(record.snapshot.id);
  // Added before dropped: an entry that stays listed must not be forgotten in between.
  for (const auto& [sha256, size] : ListedBlobs(record.snapshot)) {
    blobs.AddUser(sha256, size);
    if (counts) blobs.AddHolder(sha256);
  }
  for (const auto& [sha256, size] : before) {
    if (counts) blobs.DropHolder(sha256);
    blobs.DropUser(sha256);
  }
}

void Index::Deliver(const std::string& id, const Delivery& delivery) {
  bool counts = counted.contains(id);
  if (!catalog.Lists(id, delivery.sha256)) {
    blobs.AddUser(delivery.sha256, delivery.size);
    if (counts) blobs.AddHolder(delivery.sha256);
  }
  for (const Digest& replaced : catalog.Deliver(id, delivery)) {
    if (catalog.Lists(id, replaced)) continue;
    if (counts) blobs.DropHolder(replaced);
    blobs.DropUser(replaced);
  }
}

void Index::Erase(const std::string& id) {
  std::map<Digest, Bytes> listed = ListedBlobs(catalog.Find(id)->snapshot);
  catalog.Erase(id);
  journals.erase(id);
  bool counts = counted.erase(id) > 0;
  for (const auto& [sha256, size] : listed) {
    if (counts) blobs.DropHolder(sha256);
    blobs.DropUser(sha256);
  }
}

SnapshotRecord Index::RecordOf(const std::string& id) const {
  const SnapshotEntry* entry = catalog.Find(id);
  return {.snapshot = entry->snapshot, .borrowed = entry->borrowed, .trees = trees.Records(id)};
}

std::vector<Digest> Index::GiveKnownBlobs(SnapshotRecord& record) const {
  const std::string& origin = record.snapshot.origin;
  auto delivered = catalog.DeliveredBy(origin);
  std::vector<Digest> given;
  for (size_t i = 0; i < record.snapshot.files.size(); ++i) {
    SnapshotFile& file = record.snapshot.files[i];
    if (file.blob) continue;
    auto known = KnownBlob(*this, origin, file.listed, delivered);
    // A listing whose size is not the blob's lies about one of them: let the fill find out.
    bool usable = known && blobs.IsPresent(*known) && blobs.SizeOf(*known) == file.listed.size;
    if (!usable) continue;
    file.blob = known;
    record.borrowed[i] = !catalog.IsDeliveredBy(origin, *known);
    given.push_back(*known);
  }
  return given;
}

bool Index::IsIntact(const Snapshot& snapshot) const {
  return snapshot.complete && std::ranges::all_of(snapshot.files, [&](const SnapshotFile& file) {
           return file.blob && blobs.IsPresent(*file.blob);
         });
}

Bytes Index::PaddingOf(const std::string& id) const {
  const SnapshotEntry* entry = catalog.Find(id);
  if (entry == nullptr) return 0;
  Bytes padding = 0;
  for (const SnapshotFile& file : entry->snapshot.files) {
    if (!file.blob) padding += RoundUpToBlock(file.listed.size) - file.listed.size;
  }
  return padding;
}

bool Index::IsWanted(const IngestContent& content) const {
  return std::ranges::any_of(catalog.incomplete(), [&](const std::string& id) {
    return Lacks(catalog.Find(id)->snapshot, content);
  });
}

bool Index::IsPromised(const std::string& ingest_id, const IngestContent& content) const {
  return std::ranges::any_of(ledger.ClaimantsOf(ingest_id), [&](const std::string& snapshot_id) {
    const SnapshotEntry* entry = catalog.Find(snapshot_id);
    return entry != nullptr && Lacks(entry->snapshot, content);
  });
}

bool Index::IsKept(const IngestContent& content, const std::string& except) const {
  return std::ranges::any_of(kept, [&](const std::string& snapshot_id) {
    const SnapshotEntry* entry = catalog.Find(snapshot_id);
    return snapshot_id != except && entry != nullptr && Lacks(entry->snapshot, content);
  });
}

std::vector<Candidate> Index::IngestCandidates(const std::string& for_snapshot,
                                               const std::set<std::string>& its_ingests) const {
  std::set<std::string> held = SumsOfHolds(for_snapshot, its_ingests).ingests;
  std::vector<Candidate> candidates;
  for (const auto& [id, ingest] : idle_ingests.entries()) {
    if (its_ingests.contains(id) || held.contains(id) || ingest.leaving) continue;
    if (IsPromised(id, ingest.content) || IsKept(ingest.content, for_snapshot)) continue;
    candidates.push_back({.id = id, .own = ingest.allocated});
  }
  return candidates;
}

std::set<std::string> Index::InUse() const {
  std::set<std::string> ids;
  for (const auto& [id, leased] : leases.on_snapshots()) ids.emplace_hint(ids.end(), id);
  ids.merge(ledger.Claimants());
  ids.insert(kept.begin(), kept.end());
  for (const auto& [id, filling] : fill_holds) ids.insert(id);
  for (const auto& [key, hold] : holds.entries()) ids.insert(hold.target());
  return ids;
}

bool Index::IsIdle(const std::string& id) const {
  return leases.CountOnSnapshot(id) == 0 && !holds.HoldsSnapshot(id) && !kept.contains(id) &&
         !fill_holds.contains(id) && !ledger.HasClaim(id);
}

bool Index::IsBare(const std::string& id) const {
  const SnapshotEntry* entry = catalog.Find(id);
  if (entry == nullptr || entry->snapshot.complete || !IsIdle(id)) return false;
  if (!references.Naming(id).empty()) return false;
  bool staged = std::ranges::any_of(idle_ingests.entries(), [&](const auto& ingest) {
    return Lacks(entry->snapshot, ingest.second.content);
  });
  if (staged) return false;
  return std::ranges::none_of(ListedBlobs(entry->snapshot), [&](const auto& listed) {
    const Digest& sha256 = listed.first;
    bool its_own = blobs.IsPresent(sha256) && blobs.Users(sha256) == 1;
    return its_own || ledger.quarantined_blobs().contains(sha256);
  });
}

std::vector<Candidate> Index::Candidates(const std::string& except) const {
  std::vector<Candidate> candidates;
  const std::set<std::string> in_use = InUse();
  for (const SnapshotEntry* entry : catalog.OldestFirst()) {
    const std::string& id = entry->snapshot.id;
    if (id == except || entry->leaving || in_use.contains(id)) continue;
    Candidate candidate{.id = id, .own = trees.CopiedBytes(id)};
    for (const auto& [sha256, size] : ListedBlobs(entry->snapshot)) {
      if (!blobs.IsPresent(sha256)) continue;
      candidate.shares.push_back({.sha256 = sha256,
                                  .size = RoundUpToBlock(blobs.SizeOf(sha256)),
                                  .users = blobs.Users(sha256)});
    }
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

void Index::CountHeld(const std::set<std::string>& in_use) {
  // Side by side: looking each of thousands up would take milliseconds, and mostly nothing changed.
  std::vector<std::string> ended;
  std::vector<std::string> begun;
  std::ranges::set_difference(counted, in_use, std::back_inserter(ended));
  std::ranges::set_difference(in_use, counted, std::back_inserter(begun));
  for (const std::string& id : ended) {
    for (const auto& [sha256, size] : ListedBlobs(catalog.Find(id)->snapshot)) {
      blobs.DropHolder(sha256);
    }
    counted.erase(id);
  }
  for (const std::string& id : begun) {
    const SnapshotEntry* entry = catalog.Find(id);
    if (entry == nullptr) continue;
    counted.insert(id);
    for (const auto& [sha256, size] : ListedBlobs(entry->snapshot)) blobs.AddHolder(sha256);
  }
}

Bytes Index::HeldBytes(const std::map<Digest, Bytes>& of_promise) const {
  Bytes bytes = blobs.held();
  for (const auto& [sha256, size] : of_promise) {
    if (blobs.IsPresent(sha256) && !blobs.IsHeld(sha256)) {
      bytes += RoundUpToBlock(blobs.SizeOf(sha256));
    }
  }
  for (const Digest& sha256 : ledger.CoveredBlobs()) {
    bool counts = blobs.IsHeld(sha256) || of_promise.contains(sha256);
    if (counts && blobs.IsPresent(sha256)) bytes -= RoundUpToBlock(blobs.SizeOf(sha256));
  }
  return bytes;
}

Bytes Index::HeldCopies(const std::set<std::string>& in_use) const {
  Bytes bytes = 0;
  if (trees.copied() == 0) return bytes;  // hardly ever are there any
  for (const std::string& id : in_use) bytes += trees.CopiedBytes(id);
  return bytes;
}

SpaceInputs Index::Sums(const std::string& except, const std::set<std::string>& its_ingests,
                        const std::map<Digest, Bytes>& to_be_held) {
  std::set<std::string> in_use = InUse();
  CountHeld(in_use);
  std::map<Digest, Bytes> of_promise = to_be_held;
  const SnapshotEntry* known = catalog.Find(except);
  if (known != nullptr) of_promise.merge(ListedBlobs(known->snapshot));
  Bytes held_bytes = HeldBytes(of_promise);
  in_use.insert(except);
  Bytes held_copies = HeldCopies(in_use);
  Bytes idle_copies = trees.copied() - held_copies;
  HoldSums for_holds = SumsOfHolds(except, its_ingests);
  Bytes waiting = 0;  // for their fills, which were promised their bytes
  Bytes left = 0;
  Bytes staged_to_keep = 0;
  Bytes resumable = 0;
  for (const auto& [id, ingest] : idle_ingests.entries()) {
    if (for_holds.ingests.contains(id) && !ingest.leaving) continue;
    bool promised = IsPromised(id, ingest.content);
    bool its_own = its_ingests.contains(id);
    // The next promise's own are a part of it, and its fill has no use for others' of its files.
    bool stays = !its_own && IsKept(ingest.content, except);
    (promised ? waiting : stays ? staged_to_keep : left) += ingest.allocated;
    bool resumes = its_own && !ingest.leaving && IsWanted(ingest.content);
    if (!promised && resumes) resumable += ingest.allocated;
  }
  // What goes on for the next promise's files since an earlier fill of them failed is its own too.
  Bytes joinable = 0;
  for (const std::string& id : its_ingests) {
    if (ledger.ClaimantsOf(id).empty()) joinable += ledger.IngestBytes(id);
  }
  Bytes apart = for_holds.active + joinable;
  Bytes others = blobs.allocated() - std::min(blobs.allocated(), held_bytes + ledger.covered());
  SpaceInputs sums;
  sums.used = blobs.allocated() + ledger.ingesting() + waiting + staged_to_keep + for_holds.idle +
              left + ledger.quarantined() + held_copies + idle_copies;
  sums.held = held_bytes + staged_to_keep + ledger.quarantined() + held_copies + for_holds.beyond +
              ledger.Unpromised(waiting, apart);
  sums.reserved = ledger.reserved() + for_holds.reserved;
  sums.for_holds = for_holds.reserved;
  sums.unallocated = ledger.Unallocated(waiting, apart) + for_holds.unallocated;
  sums.evictable = others + idle_copies + left + joinable;
  sums.resumable = resumable + joinable;
  return sums;
}

}  // namespace weighhouse::store
