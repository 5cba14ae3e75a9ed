#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/digest.h"
#include "cache-daemon/store/snapshot_record.h"

namespace weighhouse::store {

/// A known snapshot. Its trees are in the TreeBook.
struct SnapshotEntry {
  Snapshot snapshot;
  std::vector<bool> borrowed;  ///< beside snapshot.files, see SnapshotRecord
  /// Being evicted: no lease, no tree, no hold may be given any more.
  bool leaving = false;
  /// Orders uses of equal time (a clock that stands or was set back).
  uint64_t use = 0;
};

/// Bytes that came from a snapshot's own origin, and what that calls them.
struct Delivery {
  FileIdentity identity;
  Bytes size = 0;
  Digest sha256;
};

/// The snapshots by id, and who may speak for which blob. Guarded by the store's mutex; does no
/// I/O.
class SnapshotCatalog {
 public:
  /// `record.trees` is not looked at. The id must be new.
  void Insert(const SnapshotRecord& record);
  void Erase(const std::string& id);
  const SnapshotEntry* Find(const std::string& id) const;
  /// Replaces what is known of the snapshot `record.snapshot.id` (last use excepted).
  void Replace(const SnapshotRecord& record);

  /// True if one of the snapshot's files is this blob, or is named by it.
  bool Lists(const std::string& id, const Digest& sha256) const;
  /// Gives the blob to all files of the snapshot that are meant. Returns the blobs that they were
  /// before.
  std::set<Digest> Deliver(const std::string& id, const Delivery& delivery);

  void SetLeaving(const std::string& id, bool leaving);
  /// Sets the last use to `now`, or to the newest use known if the clock was set back. Returns it.
  std::chrono::system_clock::time_point Use(const std::string& id,
                                            std::chrono::system_clock::time_point now);
  /// The newest use of all.
  std::chrono::system_clock::time_point newest_use() const { return newest_use_; }

  /// True if a snapshot of `origin`, or an anonymous one, has this blob from its own origin,
  /// verified.
  bool IsDeliveredFor(const std::string& origin, const Digest& sha256) const;
  /// The same, from `origin` itself.
  bool IsDeliveredBy(const std::string& origin, const Digest& sha256) const;
  /// Blobs of `origin`'s snapshots by what the origin called them: equal identity and size mean
  /// equal content, there only.
  std::map<std::pair<FileIdentity, Bytes>, Digest> DeliveredBy(const std::string& origin) const;

  const std::map<std::string, SnapshotEntry>& entries() const { return entries_; }
  /// The ids of those that aren't complete: few of many.
  const std::set<std::string>& incomplete() const { return incomplete_; }
  /// Least recently used first.
  std::vector<const SnapshotEntry*> OldestFirst() const;
  /// The ids of those that have this blob.
  std::vector<std::string> Having(const Digest& sha256) const;

 private:
  void MarkComplete(const Snapshot& snapshot);
  void AddEvidence(const SnapshotEntry& entry);
  void RemoveEvidence(const SnapshotEntry& entry);
  /// The snapshot speaks for the blob no more.
  void Forget(const Digest& blob, const std::string& id);

  std::map<std::string, SnapshotEntry> entries_;
  std::set<std::string> incomplete_;
  std::map<std::string, std::set<std::string>> of_origin_;  // ids
  std::map<Digest, std::set<std::string>>
      delivered_to_;  // the ids of snapshots that speak for the blob
  std::chrono::system_clock::time_point newest_use_;
  uint64_t uses_ = 0;
};

}  // namespace weighhouse::store
