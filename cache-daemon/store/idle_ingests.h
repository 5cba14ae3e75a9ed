#pragma once

#include <map>
#include <string>

#include "cache-daemon/store/ingest_state.h"

namespace weighhouse::store {

/// The ingests on the disk that no fill has now: what an earlier one left to be gone on with.
/// Guarded by the store's mutex; does no I/O.
class IdleIngests {
 public:
  struct Entry {
    IngestContent content;
    Bytes allocated = 0;
    bool leaving = false;  ///< being removed: nobody goes on with it any more
  };

  void Add(const std::string& id, IngestContent content, Bytes allocated);
  /// Null: there is none of that id.
  const Entry* Find(const std::string& id) const;
  void SetLeaving(const std::string& id, bool leaving);
  void Remove(const std::string& id) { entries_.erase(id); }

  const std::map<std::string, Entry>& entries() const { return entries_; }

 private:
  std::map<std::string, Entry> entries_;
};

}  // namespace weighhouse::store
