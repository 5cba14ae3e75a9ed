#include "cache-daemon/store/snapshot_catalog.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace weighhouse::store {

void SnapshotCatalog::AddEvidence(const SnapshotEntry& entry) {
  for (size_t i = 0; i < entry.snapshot.files.size(); ++i) {
    const SnapshotFile& file = entry.snapshot.files[i];
    if (file.blob && !entry.borrowed[i]) delivered_to_[*file.blob].insert(entry.snapshot.id);
  }
}

void SnapshotCatalog::RemoveEvidence(const SnapshotEntry& entry) {
  for (const SnapshotFile& file : entry.snapshot.files) {
    if (file.blob) Forget(*file.blob, entry.snapshot.id);
  }
}

void SnapshotCatalog::Forget(const Digest& blob, const std::string& id) {
  auto found = delivered_to_.find(blob);
  if (found == delivered_to_.end()) return;
  found->second.erase(id);
  if (found->second.empty()) delivered_to_.erase(found);
}

void SnapshotCatalog::MarkComplete(const Snapshot& snapshot) {
  if (snapshot.complete) {
    incomplete_.erase(snapshot.id);
  } else {
    incomplete_.insert(snapshot.id);
  }
}

void SnapshotCatalog::Insert(const SnapshotRecord& record) {
  SnapshotEntry entry{.snapshot = record.snapshot, .borrowed = record.borrowed, .use = ++uses_};
  newest_use_ = std::max(newest_use_, entry.snapshot.last_used);
  auto [place, inserted] = entries_.emplace(record.snapshot.id, std::move(entry));
  CHECK(inserted);
  MarkComplete(record.snapshot);
  of_origin_[record.snapshot.origin].insert(record.snapshot.id);
  AddEvidence(place->second);
}

void SnapshotCatalog::Erase(const std::string& id) {
  auto found = entries_.find(id);
  CHECK(found != entries_.end());
  RemoveEvidence(found->second);
  incomplete_.erase(id);
  auto origin = of_origin_.find(found->second.snapshot.origin);
  origin->second.erase(id);
  if (origin->second.empty()) of_origin_.erase(origin);
  entries_.erase(found);
}

const SnapshotEntry* SnapshotCatalog::Find(const std::string& id) const {
  auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

void SnapshotCatalog::Replace(const SnapshotRecord& record) {
  SnapshotEntry& entry = entries_.at(record.snapshot.id);
  RemoveEvidence(entry);
  auto last_used = entry.snapshot.last_used;
  entry.snapshot = record.snapshot;
  entry.snapshot.last_used = last_used;
  entry.borrowed = record.borrowed;
  MarkComplete(record.snapshot);
  AddEvidence(entry);
}

bool SnapshotCatalog::Lists(const std::string& id, const Digest& sha256) const {
  const std::string hex = sha256.Hex();
  return std::ranges::any_of(entries_.at(id).snapshot.files, [&](const SnapshotFile& file) {
    const FileIdentity& identity = file.listed.identity;
    bool named = identity.kind == FileIdentity::Kind::kSha256 && identity.value == hex;
    return named || file.blob == sha256;
  });
}

std::set<Digest> SnapshotCatalog::Deliver(const std::string& id, const Delivery& delivery) {
  SnapshotEntry& entry = entries_.at(id);
  std::set<Digest> replaced;
  for (size_t i = 0; i < entry.snapshot.files.size(); ++i) {
    SnapshotFile& file = entry.snapshot.files[i];
    bool meant = file.listed.size == delivery.size && file.listed.identity == delivery.identity;
    if (!meant) continue;
    if (file.blob && *file.blob != delivery.sha256) replaced.insert(*file.blob);
    file.blob = delivery.sha256;
    entry.borrowed[i] = false;
  }
  delivered_to_[delivery.sha256].insert(id);
  for (const Digest& blob : replaced) {
    bool still = std::ranges::any_of(entry.snapshot.files,
                                     [&](const SnapshotFile& file) { return file.blob == blob; });
    if (!still) Forget(blob, id);
  }
  return replaced;
}

void SnapshotCatalog::SetLeaving(const std::string& id, bool leaving) {
  entries_.at(id).leaving = leaving;
}

std::chrono::system_clock::time_point SnapshotCatalog::Use(
    const std::string& id, std::chrono::system_clock::time_point now) {
  newest_use_ = std::max(newest_use_, now);
  SnapshotEntry& entry = entries_.at(id);
  entry.snapshot.last_used = newest_use_;
  entry.use = ++uses_;
  return newest_use_;
}

bool SnapshotCatalog::IsDeliveredFor(const std::string& origin, const Digest& sha256) const {
  auto found = delivered_to_.find(sha256);
  if (found == delivered_to_.end()) return false;
  return std::ranges::any_of(found->second, [&](const std::string& id) {
    const Snapshot& snapshot = entries_.at(id).snapshot;
    return snapshot.anonymous || snapshot.origin == origin;
  });
}

bool SnapshotCatalog::IsDeliveredBy(const std::string& origin, const Digest& sha256) const {
  auto found = delivered_to_.find(sha256);
  if (found == delivered_to_.end()) return false;
  return std::ranges::any_of(found->second, [&](const std::string& id) {
    return entries_.at(id).snapshot.origin == origin;
  });
}

std::map<std::pair<FileIdentity, Bytes>, Digest> SnapshotCatalog::DeliveredBy(
    const std::string& origin) const {
  std::map<std::pair<FileIdentity, Bytes>, Digest> delivered;
  auto ids = of_origin_.find(origin);
  if (ids == of_origin_.end()) return delivered;
  for (const std::string& id : ids->second) {
    const SnapshotEntry& entry = entries_.at(id);
    for (size_t i = 0; i < entry.snapshot.files.size(); ++i) {
      const SnapshotFile& file = entry.snapshot.files[i];
      if (!file.blob || entry.borrowed[i]) continue;
      delivered.emplace(std::pair(file.listed.identity, file.listed.size), *file.blob);
    }
  }
  return delivered;
}

std::vector<const SnapshotEntry*> SnapshotCatalog::OldestFirst() const {
  std::vector<const SnapshotEntry*> sorted;
  sorted.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) sorted.push_back(&entry);
  std::ranges::sort(sorted, [](const SnapshotEntry* a, const SnapshotEntry* b) {
    return std::pair(a->snapshot.last_used, a->use) < std::pair(b->snapshot.last_used, b->use);
  });
  return sorted;
}

std::vector<std::string> SnapshotCatalog::Having(const Digest& sha256) const {
  std::vector<std::string> ids;
  for (const auto& [id, entry] : entries_) {
    bool has = std::ranges::any_of(entry.snapshot.files,
                                   [&](const SnapshotFile& file) { return file.blob == sha256; });
    if (has) ids.push_back(id);
  }
  return ids;
}

}  // namespace weighhouse::store
