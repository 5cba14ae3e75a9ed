#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/units.h"

namespace weighhouse::store {

/// What is promised or allocated besides the blobs of snapshots: reservations, ingests under way,
/// quarantine.
/// Guarded by the store's mutex; does no I/O.
class Ledger {
 public:
  /// Promises `bytes` to the fill of a snapshot until Release. Returns the claim's number.
  /// `ingest_ids`: what the fill will start, and what is staged of them is a part of the promise.
  uint64_t Promise(const std::string& snapshot_id, Bytes bytes, std::set<std::string> ingest_ids);
  void Release(uint64_t claim);
  /// A blob was committed for the snapshot: where a claim of it has room, the blob is a part of the
  /// promise from now on and counts as reserved, not as held.
  void Cover(const std::string& snapshot_id, const Digest& sha256, Bytes allocated);
  /// The blob is gone: no claim covers it any more.
  void Uncover(const Digest& sha256);
  bool IsCovered(const Digest& sha256) const;
  std::vector<Digest> CoveredBlobs() const;
  bool HasClaim(const std::string& snapshot_id) const;
  /// The snapshots that have one.
  std::set<std::string> Claimants() const;
  /// The snapshots whose fills were promised bytes for this ingest.
  std::vector<std::string> ClaimantsOf(const std::string& ingest_id) const;

  /// What the snapshot's claims have promised, without what they cover.
  Bytes UncoveredOf(const std::string& snapshot_id) const;

  /// False if an ingest of that id is under way already.
  bool BeginIngest(const std::string& id);
  void SetIngestBytes(const std::string& id, Bytes allocated);
  void EndIngest(const std::string& id);
  /// What the ingest has allocated, if one is under way.
  Bytes IngestBytes(const std::string& id) const;

  void SetQuarantined(const Digest& sha256, Bytes allocated) { quarantined_[sha256] = allocated; }
  void DropQuarantined(const Digest& sha256) { quarantined_.erase(sha256); }
  /// With what each has allocated.
  const std::map<Digest, Bytes>& quarantined_blobs() const { return quarantined_; }

  Bytes reserved() const { return reserved_; }
  Bytes ingesting() const { return ingesting_; }
  /// Of the covered blobs.
  Bytes covered() const;
  Bytes quarantined() const;
  size_t quarantined_count() const { return quarantined_.size(); }
  /// The part of `reserved` that nothing was allocated for yet. `waiting`: allocated by ingests
  /// that their fills go on with later; `apart`: by ingests under way that are no part of it.
  Bytes Unallocated(Bytes waiting, Bytes apart) const;
  /// Ingests beyond what was promised, without what is `apart`.
  Bytes Unpromised(Bytes waiting, Bytes apart) const;
  /// Changes whenever an ingest's bytes do: whoever compares them with the disk's free space reads
  /// it before and after.
  uint64_t epoch() const { return epoch_; }

 private:
  struct Claim {
    std::string snapshot_id;
    Bytes bytes = 0;
    std::set<std::string> ingest_ids;
    std::map<Digest, Bytes> covered;
    Bytes covered_bytes = 0;
  };
  std::map<uint64_t, Claim> claims_;
  std::map<std::string, Bytes> ingests_;
  std::map<Digest, Bytes> quarantined_;
  Bytes reserved_ = 0;
  Bytes ingesting_ = 0;
  uint64_t last_claim_ = 0;
  uint64_t epoch_ = 0;
};

}  // namespace weighhouse::store
