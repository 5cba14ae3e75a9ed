#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/store/blob_index.h"
#include "cache-daemon/store/busy_set.h"
#include "cache-daemon/store/grant_book.h"
#include "cache-daemon/store/hold_book.h"
#include "cache-daemon/store/idle_ingests.h"
#include "cache-daemon/store/lease_book.h"
#include "cache-daemon/store/ledger.h"
#include "cache-daemon/store/recent_evictions.h"
#include "cache-daemon/store/reference_book.h"
#include "cache-daemon/store/snapshot_catalog.h"
#include "cache-daemon/store/space.h"
#include "cache-daemon/store/tree_book.h"
#include "cache-daemon/store/usage.h"
#include "cache-daemon/store/volume_book.h"

namespace weighhouse::store {

/// All that the store knows in memory, rebuilt by recovery at each start. Guarded by the store's
/// mutex; does no I/O. Its functions are those that need more than one of its parts.
struct Index {
  SnapshotCatalog catalog;
  BlobIndex blobs;
  TreeBook trees;
  LeaseBook leases;
  HoldBook holds;
  VolumeBook volumes;
  ReferenceBook references;
  GrantBook grants;
  Ledger ledger;
  IdleIngests idle_ingests;
  BusySet busy;
  std::map<std::string, size_t> fill_holds;  ///< by snapshot id, known or not
  std::set<std::string> kept;                ///< snapshots' ids, known or not
  std::set<std::string> counted;             ///< snapshots whose blobs count as held: see Sums
  std::set<std::string> journals;            ///< of these snapshots the journal's name is durable

  /// Adds a snapshot and lists its blobs.
  void Insert(const SnapshotRecord& record);
  /// Replaces a snapshot's record and lists its blobs.
  void Replace(const SnapshotRecord& record);
  void Erase(const std::string& id);
  /// The snapshot's origin delivered what all its files of that identity and size are. Cheap, where
  /// Replace is not: it happens as often as a snapshot has files.
  void Deliver(const std::string& id, const Delivery& delivery);
  /// What its file on disk should say.
  SnapshotRecord RecordOf(const std::string& id) const;

  /// The evidence rule ("a digest is no key to bytes"): gives each file of `record` without a blob
  /// one that is here and that its origin delivered before, or that an anonymous origin delivered.
  /// Returns the blobs given.
  std::vector<Digest> GiveKnownBlobs(SnapshotRecord& record) const;
  /// Complete, and every blob is here at this moment.
  bool IsIntact(const Snapshot& snapshot) const;

  /// What the files that the snapshot lacks will take beyond their sizes, because disks give whole
  /// blocks.
  Bytes PaddingOf(const std::string& id) const;

  /// A snapshot lacks the file.
  bool IsWanted(const IngestContent& content) const;
  /// Bytes are promised to a fill that will go on with this ingest: its own are a part of them.
  bool IsPromised(const std::string& ingest_id, const IngestContent& content) const;
  /// A snapshot that is kept, other than `except`, lacks the file.
  bool IsKept(const IngestContent& content, const std::string& except) const;
  /// The idle ingests that may be given up for the snapshot `for_snapshot` (empty: for none), whose
  /// own are `its_ingests`: they are not among them.
  std::vector<Candidate> IngestCandidates(const std::string& for_snapshot,
                                          const std::set<std::string>& its_ingests) const;

  /// Whose the allocated bytes are. Looks at every file of every snapshot.
  Usage CountUsage() const;

  // Holds
  /// What the files that the snapshot lacks will take.
  Bytes LackedBytes(const std::string& id) const;
  static Bytes LackedBytes(const Snapshot& snapshot);
  /// What a hold on the snapshot, known or not, must find room for: what it lacks, less what a fill
  /// of it was promised.
  Bytes HoldNeed(const Snapshot& snapshot) const;
  /// The ingests that a fill of the snapshot starts.
  std::set<std::string> LackedIngests(const std::string& id) const;
  static std::set<std::string> LackedIngests(const Snapshot& snapshot);
  /// Without the holds on the snapshot `except`, and without `its_ingests`.
  HoldSums SumsOfHolds(const std::string& except, const std::set<std::string>& its_ingests) const;

  /// The ids of the snapshots, known or not, that somebody leases, holds, keeps, fills or was
  /// promised bytes for. All others are idle.
  std::set<std::string> InUse() const;
  /// Nobody leases it, holds it, keeps it, fills it or was promised bytes for it.
  bool IsIdle(const std::string& id) const;
  /// Idle, incomplete, and nothing came of it: no reference names it, and with it would go no blob,
  /// whether here or in quarantine, and nothing staged.
  bool IsBare(const std::string& id) const;
  /// The idle snapshots that may be evicted, least recently used first; `except` is not among them.
  std::vector<Candidate> Candidates(const std::string& except) const;
  /// The sums without the disk's (`limit`, `free`, `min_free` are 0). The snapshot `except` counts
  /// as held, its holds not (the next promise takes their place), and of `its_ingests` what the
  /// next promise may count on as resumable. `to_be_held`: blobs of it, where it isn't known yet.
  SpaceInputs Sums(const std::string& except, const std::set<std::string>& its_ingests,
                   const std::map<Digest, Bytes>& to_be_held = {});

 private:
  /// Has the blobs of the snapshots in use count as held, and no others: what changed since the
  /// last time is all that is looked at, because the sums are asked for by every promise and by
  /// every question of the scheduler's.
  void CountHeld(const std::set<std::string>& in_use);
  /// What is held, reservations' own blobs excepted, with the blobs of the next promise's snapshot.
  Bytes HeldBytes(const std::map<Digest, Bytes>& of_promise) const;
  Bytes HeldCopies(const std::set<std::string>& in_use) const;
};

/// What the store keeps to; may be changed while it is open.
struct SpaceLimits {
  Bytes limit = 0;
  Bytes min_free = 0;
};

/// The index and its lock. Shared by the store and by the reservations and holds it gave out, which
/// may live a moment longer.
struct StoreState {
  Mutex mutex;
  SpaceLimits limits GUARDED_BY(mutex);
  ConditionVariable changed;  ///< a name is no longer busy, a blob no longer leaving or pinned
  Index index GUARDED_BY(mutex);
  RecentEvictions recent_evictions GUARDED_BY(mutex);
};

}  // namespace weighhouse::store
