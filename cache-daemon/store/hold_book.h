#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache-daemon/store/hold_record.h"

namespace weighhouse::store {

std::string HoldToJson(const HoldRecord& hold);
/// kDataLoss says what is wrong, also where it is another volume's than `id` says.
Result<HoldRecord> ParseHold(std::string_view json, const std::string& id);

/// How long a hold read from the disk lasts still: its recorded end counts, but a clock that was
/// set back since gives it no more than it was given at first.
std::chrono::system_clock::duration RemainingOf(const HoldRecord& hold,
                                                std::chrono::system_clock::time_point now);

/// The holds by id. Guarded by the store's mutex; does no I/O.
class HoldBook {
 public:
  struct Entry {
    HoldRecord record;
    /// When it ends: whoever sets the wall clock moves no end of what is in memory.
    std::chrono::steady_clock::time_point deadline;
    std::string arrived_for;  ///< the snapshot that its volume is being published with; or empty
    bool durable = false;

    /// The snapshot whose room it keeps; empty: none is known.
    const std::string& target() const {
      return arrived_for.empty() ? record.snapshot_id : arrived_for;
    }
    /// Whether it promised all of its target, whatever that takes.
    bool whole() const { return !target().empty() && target() == record.snapshot_id; }
  };

  void Put(const std::string& id, Entry entry) { entries_.insert_or_assign(id, std::move(entry)); }
  void Remove(const std::string& id) { entries_.erase(id); }
  Entry* Find(const std::string& id);
  /// A hold keeps the snapshot's room.
  bool HoldsSnapshot(const std::string& snapshot_id) const { return CountOn(snapshot_id) > 0; }
  size_t CountOn(const std::string& snapshot_id) const;
  const std::map<std::string, Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }

 private:
  std::map<std::string, Entry> entries_;
};

}  // namespace weighhouse::store
