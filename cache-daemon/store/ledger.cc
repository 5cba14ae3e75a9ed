#include "cache-daemon/store/ledger.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace weighhouse::store {

uint64_t Ledger::Promise(const std::string& snapshot_id, Bytes bytes,
                         std::set<std::string> ingest_ids) {
  claims_[++last_claim_] = {
      .snapshot_id = snapshot_id, .bytes = bytes, .ingest_ids = std::move(ingest_ids)};
  reserved_ += bytes;
  return last_claim_;
}

void Ledger::Release(uint64_t claim) {
  auto found = claims_.find(claim);
  CHECK(found != claims_.end());
  reserved_ -= found->second.bytes;
  claims_.erase(found);
}

void Ledger::Cover(const std::string& snapshot_id, const Digest& sha256, Bytes allocated) {
  if (IsCovered(sha256)) return;
  for (auto& [number, claim] : claims_) {
    bool room = claim.snapshot_id == snapshot_id && claim.covered_bytes + allocated <= claim.bytes;
    if (!room) continue;
    claim.covered[sha256] = allocated;
    claim.covered_bytes += allocated;
    return;
  }
}

void Ledger::Uncover(const Digest& sha256) {
  for (auto& [number, claim] : claims_) {
    auto found = claim.covered.find(sha256);
    if (found == claim.covered.end()) continue;
    claim.covered_bytes -= found->second;
    claim.covered.erase(found);
  }
}

bool Ledger::IsCovered(const Digest& sha256) const {
  return std::ranges::any_of(
      claims_, [&](const auto& claim) { return claim.second.covered.contains(sha256); });
}

std::vector<Digest> Ledger::CoveredBlobs() const {
  std::vector<Digest> covered;
  for (const auto& [number, claim] : claims_) {
    for (const auto& [sha256, bytes] : claim.covered) covered.push_back(sha256);
  }
  return covered;
}

bool Ledger::HasClaim(const std::string& snapshot_id) const {
  return std::ranges::any_of(
      claims_, [&](const auto& claim) { return claim.second.snapshot_id == snapshot_id; });
}

std::set<std::string> Ledger::Claimants() const {
  std::set<std::string> claimants;
  for (const auto& [number, claim] : claims_) claimants.insert(claim.snapshot_id);
  return claimants;
}

std::vector<std::string> Ledger::ClaimantsOf(const std::string& ingest_id) const {
  std::vector<std::string> claimants;
  for (const auto& [number, claim] : claims_) {
    if (claim.ingest_ids.contains(ingest_id)) claimants.push_back(claim.snapshot_id);
  }
  return claimants;
}

Bytes Ledger::UncoveredOf(const std::string& snapshot_id) const {
  Bytes sum = 0;
  for (const auto& [number, claim] : claims_) {
    if (claim.snapshot_id == snapshot_id) sum += claim.bytes - claim.covered_bytes;
  }
  return sum;
}

bool Ledger::BeginIngest(const std::string& id) { return ingests_.emplace(id, 0).second; }

void Ledger::SetIngestBytes(const std::string& id, Bytes allocated) {
  Bytes& bytes = ingests_.at(id);
  ingesting_ += allocated;
  ingesting_ -= bytes;
  bytes = allocated;
  ++epoch_;
}

void Ledger::EndIngest(const std::string& id) {
  SetIngestBytes(id, 0);
  ingests_.erase(id);
}

Bytes Ledger::IngestBytes(const std::string& id) const {
  auto found = ingests_.find(id);
  return found == ingests_.end() ? 0 : found->second;
}

Bytes Ledger::covered() const {
  Bytes sum = 0;
  for (const auto& [number, claim] : claims_) sum += claim.covered_bytes;
  return sum;
}

Bytes Ledger::quarantined() const {
  Bytes sum = 0;
  for (const auto& [sha256, bytes] : quarantined_) sum += bytes;
  return sum;
}

Bytes Ledger::Unallocated(Bytes waiting, Bytes apart) const {
  Bytes allocated = ingesting_ - apart + covered() + waiting;
  return reserved_ > allocated ? reserved_ - allocated : 0;
}

Bytes Ledger::Unpromised(Bytes waiting, Bytes apart) const {
  Bytes allocated = ingesting_ - apart + covered() + waiting;
  return allocated > reserved_ ? allocated - reserved_ : 0;
}

}  // namespace weighhouse::store
