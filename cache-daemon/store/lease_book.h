#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::store {

std::string LeaseToJson(const LeaseRecord& lease);
/// kDataLoss says what is wrong.
Result<LeaseRecord> ParseLease(std::string_view json, const std::string& id);

/// The leases by id, and what they hold. Guarded by the store's mutex; does no I/O.
class LeaseBook {
 public:
  /// Adds it, or replaces the one of the same id.
  void Put(const LeaseRecord& lease);
  void Remove(const std::string& id);
  const LeaseRecord* Find(const std::string& id) const;
  size_t CountOnSnapshot(const std::string& snapshot_id) const;
  /// True if a lease names the tree, or holds its snapshot without naming a tree (then any may be
  /// mounted).
  bool HoldsTree(const std::string& tree, const std::string& snapshot_id) const;
  /// True if a lease is the volume's.
  bool HoldsVolume(const std::string& volume_id) const;
  /// The snapshots that are leased, with how many leases each has.
  const std::map<std::string, size_t>& on_snapshots() const { return on_snapshot_; }
  std::vector<LeaseRecord> All() const;
  size_t size() const { return leases_.size(); }

 private:
  std::map<std::string, size_t>& CountsFor(const LeaseRecord& lease);

  std::map<std::string, LeaseRecord> leases_;
  std::map<std::string, size_t> on_snapshot_;
  std::map<std::string, size_t> on_tree_;      // those that name one
  std::map<std::string, size_t> on_any_tree_;  // by snapshot: those that name none
};

}  // namespace weighhouse::store
