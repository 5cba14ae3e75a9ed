#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cache-daemon/store/snapshot_record.h"

namespace weighhouse::store {

/// The trees on disk, by path relative to the root. Guarded by the store's mutex; does no I/O.
class TreeBook {
 public:
  enum class State {
    kBuilding,   ///< its name is given away; recorded, not in place yet
    kReady,      ///< from kBuilding once in place: may be handed out
    kWithdrawn,  ///< from kReady when a blob in it proved bad: only who has it mounted keeps it
    kLeaving,    ///< from kWithdrawn when nobody has it any more: being removed
  };
  struct Entry {
    std::string
        snapshot_id;  ///< may be one that is unknown: then the tree only waits for its last lease
    Layout layout = Layout::kFiles;
    std::string requested_revision;
    State state = State::kBuilding;
    Bytes copied = 0;
  };

  void Add(const std::string& path, Entry entry);
  void MarkReady(const std::string& path, Bytes copied);
  void Withdraw(const std::string& path);
  /// kWithdrawn to kLeaving and, where that fails, back.
  void SetLeaving(const std::string& path, bool leaving);
  void Remove(const std::string& path);

  const Entry* Find(const std::string& path) const;
  /// The tree that may be handed out for this, if there is one.
  std::optional<std::string> FindReady(const std::string& snapshot_id, Layout layout,
                                       const std::string& requested_revision) const;
  /// The first name for a new tree that no other has: `base`, or a later generation of it.
  std::string FreeName(const std::string& base) const;
  std::vector<std::string> OfSnapshot(const std::string& snapshot_id) const;
  /// For the snapshot's record.
  std::vector<TreeRecord> Records(const std::string& snapshot_id) const;
  /// The sum of what they hold in copies.
  Bytes CopiedBytes(const std::string& snapshot_id) const;
  /// The same of all snapshots.
  Bytes copied() const { return copied_; }
  /// A tree is withdrawn or leaving.
  bool HasWithdrawn() const { return !withdrawn_.empty(); }
  const std::map<std::string, Entry>& entries() const { return entries_; }

 private:
  /// The paths of the snapshot's trees. Every publish asks, so that it must not search all trees.
  const std::set<std::string>& PathsOf(const std::string& snapshot_id) const;

  std::map<std::string, Entry> entries_;
  std::map<std::string, std::set<std::string>> of_snapshot_;
  std::set<std::string> withdrawn_;
  Bytes copied_ = 0;
};

}  // namespace weighhouse::store
