// What is held and what is evictable, counted from what changed since the last time, against the
// same counted anew, over random lives of an index.

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cache-daemon/store/index.h"
#include "cache-daemon/store/ingest_name.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

constexpr unsigned kSnapshots = 5;
constexpr unsigned kContents = 6;

std::string Name(unsigned number) { return fmt::format("snapshot{}", number); }
Digest Content(unsigned number) { return Digest::Of(std::to_string(number)); }

class Life {
 public:
  explicit Life(unsigned seed) : random_(seed) {}

  Index& index() { return index_; }
  unsigned Any(unsigned count) { return static_cast<unsigned>(random_() % count); }
  std::string AnySnapshot() { return Name(Any(kSnapshots)); }

  /// Something happens.
  void GoOn() {
    std::string id = AnySnapshot();
    const SnapshotEntry* known = index_.catalog.Find(id);
    switch (Any(13)) {
      case 0:
        return known == nullptr ? index_.Insert(Record(id)) : index_.Erase(id);
      case 1:
        return known == nullptr ? index_.Insert(Record(id)) : index_.Replace(Record(id));
      case 2:
        return known == nullptr ? void() : Deliver(id);
      case 3:
        return Lease(id);
      case 4:
        return Hold(id);
      case 5:
        return Toggle(index_.kept, id);
      case 6:
        return Fill(id);
      case 7:
        return Promise(id);
      case 8:
        return Cover(id);
      case 9:
        return Copy(id);
      case 10:
      case 11:
        return Stage(id);
      default:
        return Leave(Content(Any(kContents)));
    }
  }

 private:
  SnapshotRecord Record(const std::string& id) {
    SnapshotRecord record;
    record.snapshot.id = id;
    record.snapshot.origin = "origin";
    for (unsigned number = 0; number < kContents; ++number) {
      if (Any(2) == 0) continue;
      ListedFile listed{
          .path = std::to_string(number),
          .size = (number + 1) * kBlock,
          .identity = Any(2) == 0 ? FileIdentity{FileIdentity::Kind::kSha256, Content(number).Hex()}
                                  : FileIdentity{FileIdentity::Kind::kVersionToken, "v"}};
      bool here = index_.blobs.IsPresent(Content(number));
      record.snapshot.files.push_back(
          {.listed = listed, .blob = here ? std::optional(Content(number)) : std::nullopt});
      record.borrowed.push_back(false);
    }
    return record;
  }

  void Deliver(const std::string& id) {
    const Snapshot& snapshot = index_.catalog.Find(id)->snapshot;
    if (snapshot.files.empty()) return;
    ListedFile file = snapshot.files[Any(static_cast<unsigned>(snapshot.files.size()))].listed;
    Digest content = Content(static_cast<unsigned>(file.size / kBlock - 1));
    if (index_.blobs.IsLeaving(content)) return;
    index_.blobs.Pin(content, file.size);
    index_.blobs.MarkPresent(content);
    index_.Deliver(id, {.identity = file.identity, .size = file.size, .sha256 = content});
    index_.blobs.Unpin(content);
  }

  void Lease(const std::string& id) {
    std::string lease = fmt::format("lease{}", Any(3));
    if (index_.leases.Find(lease) != nullptr) return index_.leases.Remove(lease);
    index_.leases.Put({.id = lease, .snapshot_id = id});
  }

  void Hold(const std::string& id) {
    std::string key = fmt::format("hold{}", Any(3));
    if (index_.holds.Find(key) != nullptr) return index_.holds.Remove(key);
    HoldBook::Entry hold;
    hold.record.snapshot_id = id;
    index_.holds.Put(key, hold);
  }

  void Toggle(std::set<std::string>& names, const std::string& id) {
    if (names.erase(id) == 0) names.insert(id);
  }

  void Fill(const std::string& id) {
    if (index_.fill_holds.erase(id) == 0) index_.fill_holds[id] = 1;
  }

  void Promise(const std::string& id) {
    if (!claims_.empty() && Any(2) == 0) {
      index_.ledger.Release(claims_.back());
      return claims_.pop_back();
    }
    claims_.push_back(index_.ledger.Promise(id, 12 * kBlock, index_.LackedIngests(id)));
  }

  void Cover(const std::string& id) {
    Digest content = Content(Any(kContents));
    bool can = index_.blobs.IsPresent(content) && !index_.ledger.IsCovered(content);
    if (can) index_.ledger.Cover(id, content, index_.blobs.SizeOf(content));
  }

  /// A tree with copies, of a snapshot that may be unknown by now.
  void Copy(const std::string& id) {
    std::string path = "trees/files/" + id;
    if (index_.trees.Find(path) != nullptr) return index_.trees.Remove(path);
    index_.trees.Add(
        path,
        {.snapshot_id = id, .state = TreeBook::State::kReady, .copied = (1 + Any(4)) * kBlock});
  }

  /// An ingest of a file that the snapshot lacks: a fill's, or left by one.
  void Stage(const std::string& id) {
    const SnapshotEntry* entry = index_.catalog.Find(id);
    if (entry == nullptr || entry->snapshot.files.empty()) return;
    const Snapshot& snapshot = entry->snapshot;
    const SnapshotFile& file = snapshot.files[Any(static_cast<unsigned>(snapshot.files.size()))];
    std::string ingest = FreshIngestFor(snapshot.origin, snapshot.anonymous, file.listed);
    if (index_.idle_ingests.Find(ingest) != nullptr) {
      return Any(2) == 0 ? index_.idle_ingests.Remove(ingest)
                         : index_.idle_ingests.SetLeaving(ingest, true);
    }
    if (index_.ledger.IngestBytes(ingest) > 0) return index_.ledger.EndIngest(ingest);
    if (file.blob) return;
    if (Any(2) == 0) {
      index_.ledger.BeginIngest(ingest);
      return index_.ledger.SetIngestBytes(ingest, kBlock);
    }
    index_.idle_ingests.Add(ingest, {.identity = file.listed.identity, .size = file.listed.size},
                            kBlock);
  }

  void Leave(const Digest& content) {
    if (index_.blobs.IsLeaving(content)) {
      return Any(2) == 0 ? index_.blobs.MarkStayed(content) : Gone(content);
    }
    if (index_.blobs.IsPresent(content)) index_.blobs.BeginLeaving(content);
  }

  void Gone(const Digest& content) {
    index_.ledger.Uncover(content);
    index_.blobs.MarkAbsent(content);
  }

  std::mt19937 random_;
  Index index_;
  std::vector<uint64_t> claims_;
};

/// Whose next promise the sums are for.
struct Next {
  std::string except;
  std::set<std::string> its_ingests;
  std::map<Digest, Bytes> to_be_held;
};

bool Lacks(const Snapshot& snapshot, const IngestContent& content) {
  return !snapshot.complete && std::ranges::any_of(snapshot.files, [&](const SnapshotFile& file) {
    return !file.blob && file.listed.size == content.size &&
           file.listed.identity == content.identity;
  });
}

bool IsKnownToLack(const Index& index, const std::string& id, const IngestContent& content) {
  const SnapshotEntry* entry = index.catalog.Find(id);
  return entry != nullptr && Lacks(entry->snapshot, content);
}

std::set<Digest> NaiveHeldBlobs(const Index& index, const Next& next) {
  std::set<Digest> listed;
  for (const auto& [sha256, size] : next.to_be_held) listed.insert(sha256);
  for (const auto& [id, entry] : index.catalog.entries()) {
    if (id != next.except && index.IsIdle(id)) continue;
    for (const auto& [sha256, size] : ListedBlobs(entry.snapshot)) listed.insert(sha256);
  }
  std::erase_if(listed, [&](const Digest& sha256) {
    return !index.blobs.IsPresent(sha256) || index.ledger.IsCovered(sha256);
  });
  return listed;
}

Bytes NaiveCopies(const Index& index, const Next& next, bool idle) {
  Bytes bytes = 0;
  for (const auto& [path, tree] : index.trees.entries()) {
    bool is_idle = tree.snapshot_id != next.except && index.IsIdle(tree.snapshot_id);
    if (is_idle == idle) bytes += tree.copied;
  }
  return bytes;
}

/// A hold keeps its room, and what is staged is a part of that.
bool IsForAHold(const Index& index, const Next& next, const std::string& ingest) {
  if (next.its_ingests.contains(ingest) || !index.ledger.ClaimantsOf(ingest).empty()) return false;
  return std::ranges::any_of(index.holds.entries(), [&](const auto& hold) {
    const std::string& target = hold.second.target();
    return target != next.except && index.LackedIngests(target).contains(ingest);
  });
}

enum class Staged { kPromised, kKept, kLeft };

Bytes NaiveStaged(const Index& index, const Next& next, Staged wanted) {
  Bytes bytes = 0;
  for (const auto& [id, ingest] : index.idle_ingests.entries()) {
    if (!ingest.leaving && IsForAHold(index, next, id)) continue;
    bool promised = std::ranges::any_of(index.ledger.ClaimantsOf(id), [&](const auto& claimant) {
      return IsKnownToLack(index, claimant, ingest.content);
    });
    bool kept = std::ranges::any_of(index.kept, [&](const std::string& snapshot) {
      return snapshot != next.except && IsKnownToLack(index, snapshot, ingest.content);
    });
    Staged is = promised                                 ? Staged::kPromised
                : kept && !next.its_ingests.contains(id) ? Staged::kKept
                                                         : Staged::kLeft;
    if (is == wanted) bytes += ingest.allocated;
  }
  return bytes;
}

Bytes NaiveEvictable(const Index& index, const Next& next) {
  std::set<Digest> held = NaiveHeldBlobs(index, next);
  Bytes bytes = NaiveCopies(index, next, true) + NaiveStaged(index, next, Staged::kLeft);
  for (unsigned number = 0; number < kContents; ++number) {
    Digest sha256 = Content(number);
    bool here = index.blobs.IsPresent(sha256) || index.blobs.IsLeaving(sha256);
    bool free = !held.contains(sha256) && !index.ledger.IsCovered(sha256);
    if (here && free) bytes += index.blobs.SizeOf(sha256);
  }
  for (const std::string& ingest : next.its_ingests) {
    if (index.ledger.ClaimantsOf(ingest).empty()) bytes += index.ledger.IngestBytes(ingest);
  }
  return bytes;
}

/// Without ingests under way: what is beyond a promise of theirs is space_test's.
Bytes NaiveHeld(const Index& index, const Next& next) {
  Bytes bytes = NaiveCopies(index, next, false) + NaiveStaged(index, next, Staged::kKept);
  for (const Digest& sha256 : NaiveHeldBlobs(index, next)) bytes += index.blobs.SizeOf(sha256);
  return bytes;
}

Next AnyNext(Life& life) {
  Next next;
  if (life.Any(2) == 0) return next;
  next.except = life.AnySnapshot();
  if (life.Any(2) == 0) next.its_ingests = life.index().LackedIngests(next.except);
  for (unsigned number = 0; number < kContents; ++number) {
    if (life.Any(4) == 0) next.to_be_held.emplace(Content(number), (number + 1) * kBlock);
  }
  return next;
}

/// What ingests and holds add to what is held besides: not what this is about.
bool HasMore(Index& index, const Next& next) {
  return index.ledger.ingesting() > 0 ||
         index.SumsOfHolds(next.except, next.its_ingests).beyond > 0 ||
         NaiveStaged(index, next, Staged::kPromised) > 0;
}

TEST(HeldSumsTest, AgreeWithTheNaiveCountWhateverHappenedBetween) {
  size_t held = 0;
  size_t evictable = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    Life life(seed);
    for (int step = 0; step < 300; ++step) {
      life.GoOn();
      if (life.Any(3) != 0) continue;
      SCOPED_TRACE(fmt::format("seed {}, step {}", seed, step));
      Next next = AnyNext(life);
      Index& index = life.index();
      SpaceInputs sums = index.Sums(next.except, next.its_ingests, next.to_be_held);
      ASSERT_EQ(sums.evictable, NaiveEvictable(index, next));
      if (sums.evictable > 0) ++evictable;
      if (HasMore(index, next)) continue;
      ASSERT_EQ(sums.held, NaiveHeld(index, next));
      if (sums.held > 0) ++held;
    }
  }
  EXPECT_GT(held, 1000u);
  EXPECT_GT(evictable, 1000u);
}

}  // namespace
}  // namespace weighhouse::store
