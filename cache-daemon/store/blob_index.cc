#include "cache-daemon/store/blob_index.h"

#include "base/error.h"

namespace weighhouse::store {

const BlobIndex::Entry* BlobIndex::Find(const Digest& sha256) const {
  auto found = entries_.find(sha256);
  return found == entries_.end() ? nullptr : &found->second;
}

BlobIndex::State BlobIndex::StateOf(const Digest& sha256) const {
  const Entry* entry = Find(sha256);
  return entry == nullptr ? State::kAbsent : entry->state;
}

void BlobIndex::EraseIfUnused(const Digest& sha256) {
  const Entry* entry = Find(sha256);
  bool used = entry->users > 0 || entry->pins > 0 || entry->state != State::kAbsent;
  if (!used) entries_.erase(sha256);
}

void BlobIndex::AddUser(const Digest& sha256, Bytes size) {
  Entry& entry = entries_[sha256];
  // While a commit has it pinned, its bytes were counted; a listing only claims a size.
  if (entry.state == State::kAbsent && entry.pins == 0) entry.size = size;
  ++entry.users;
}

void BlobIndex::DropUser(const Digest& sha256) {
  Entry& entry = entries_.at(sha256);
  CHECK(entry.users > 0);
  --entry.users;
  EraseIfUnused(sha256);
}

void BlobIndex::AddHolder(const Digest& sha256) {
  Entry& entry = entries_.at(sha256);
  Update(entry, [&] { ++entry.holders; });
}

void BlobIndex::DropHolder(const Digest& sha256) {
  Entry& entry = entries_.at(sha256);
  CHECK(entry.holders > 0);
  Update(entry, [&] { --entry.holders; });
}

bool BlobIndex::IsHeld(const Digest& sha256) const {
  const Entry* entry = Find(sha256);
  return entry != nullptr && entry->holders > 0;
}

void BlobIndex::Pin(const Digest& sha256, Bytes size) {
  Entry& entry = entries_[sha256];
  CHECK(entry.state != State::kLeaving);
  // The bytes were counted now; a listing only claimed a size.
  if (entry.state == State::kAbsent) entry.size = size;
  ++entry.pins;
}

void BlobIndex::Unpin(const Digest& sha256) {
  Entry& entry = entries_.at(sha256);
  CHECK(entry.pins > 0);
  --entry.pins;
  EraseIfUnused(sha256);
}

bool BlobIndex::IsPinned(const Digest& sha256) const {
  const Entry* entry = Find(sha256);
  return entry != nullptr && entry->pins > 0;
}

void BlobIndex::MarkPresent(const Digest& sha256) {
  Entry& entry = entries_.at(sha256);
  CHECK(entry.state != State::kLeaving);
  if (entry.state == State::kPresent) return;
  Update(entry, [&] { entry.state = State::kPresent; });
  entry.version = ++last_version_;
  ++present_count_;
  allocated_ += RoundUpToBlock(entry.size);
}

void BlobIndex::AddPresent(const Digest& sha256, Bytes size) {
  auto added = entries_.emplace_hint(
      entries_.end(), sha256,
      Entry{.size = size, .state = State::kPresent, .version = ++last_version_});
  CHECK(added->second.version == last_version_);  // was not there before
  ++present_count_;
  allocated_ += RoundUpToBlock(size);
}

bool BlobIndex::IsPresent(const Digest& sha256) const { return StateOf(sha256) == State::kPresent; }

void BlobIndex::BeginLeaving(const Digest& sha256) {
  Entry& entry = entries_.at(sha256);
  CHECK(entry.state == State::kPresent && entry.pins == 0);
  Update(entry, [&] { entry.state = State::kLeaving; });
  --present_count_;
}

void BlobIndex::MarkAbsent(const Digest& sha256) {
  Entry& entry = entries_.at(sha256);
  CHECK(entry.state == State::kLeaving);
  entry.state = State::kAbsent;
  entry.version = 0;
  allocated_ -= RoundUpToBlock(entry.size);
  EraseIfUnused(sha256);
}

void BlobIndex::MarkStayed(const Digest& sha256) {
  Entry& entry = entries_.at(sha256);
  CHECK(entry.state == State::kLeaving);
  Update(entry, [&] { entry.state = State::kPresent; });
  ++present_count_;
}

bool BlobIndex::IsLeaving(const Digest& sha256) const { return StateOf(sha256) == State::kLeaving; }

uint64_t BlobIndex::Version(const Digest& sha256) const {
  return IsPresent(sha256) ? Find(sha256)->version : 0;
}

Bytes BlobIndex::SizeOf(const Digest& sha256) const {
  const Entry* entry = Find(sha256);
  return entry == nullptr ? 0 : entry->size;
}

size_t BlobIndex::Users(const Digest& sha256) const {
  const Entry* entry = Find(sha256);
  return entry == nullptr ? 0 : entry->users;
}

std::vector<std::pair<Digest, Bytes>> BlobIndex::Unlisted() const {
  std::vector<std::pair<Digest, Bytes>> unlisted;
  for (const auto& [sha256, entry] : entries_) {
    bool idle = entry.state == State::kPresent && entry.users == 0 && entry.pins == 0;
    if (idle) unlisted.emplace_back(sha256, entry.size);
  }
  return unlisted;
}

std::vector<std::pair<Digest, Bytes>> BlobIndex::Present() const {
  std::vector<std::pair<Digest, Bytes>> present;
  for (const auto& [sha256, entry] : entries_) {
    if (entry.state == State::kPresent) present.emplace_back(sha256, entry.size);
  }
  return present;
}

}  // namespace weighhouse::store
