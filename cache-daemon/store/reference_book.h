#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::store {

std::string ReferenceToJson(const ReferenceRecord& reference);
/// kDataLoss says what is wrong.
Result<ReferenceRecord> ParseReference(std::string_view json, const std::string& fingerprint);

/// Which model references last gave which snapshot. Guarded by the store's mutex; does no I/O.
class ReferenceBook {
 public:
  void Put(const ReferenceRecord& reference);
  void Remove(const std::string& fingerprint) { references_.erase(fingerprint); }
  const ReferenceRecord* Find(const std::string& fingerprint) const;
  std::vector<ReferenceRecord> All() const;
  /// The fingerprints of those that name the snapshot.
  std::vector<std::string> Naming(const std::string& snapshot_id) const;

 private:
  std::map<std::string, ReferenceRecord> references_;
};

}  // namespace weighhouse::store
