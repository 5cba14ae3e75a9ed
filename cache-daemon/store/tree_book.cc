#include "cache-daemon/store/tree_book.h"

#include <utility>

#include "base/error.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {

void TreeBook::Add(const std::string& path, Entry entry) {
  auto [place, added] = entries_.emplace(path, std::move(entry));
  CHECK(added);
  copied_ += place->second.copied;
  of_snapshot_[place->second.snapshot_id].insert(path);
  if (place->second.state == State::kWithdrawn) withdrawn_.insert(path);
}

void TreeBook::MarkReady(const std::string& path, Bytes copied) {
  Entry& entry = entries_.at(path);
  CHECK(entry.state == State::kBuilding);
  entry.state = State::kReady;
  copied_ += copied;
  copied_ -= entry.copied;
  entry.copied = copied;
}

void TreeBook::Withdraw(const std::string& path) {
  entries_.at(path).state = State::kWithdrawn;
  withdrawn_.insert(path);
}

void TreeBook::SetLeaving(const std::string& path, bool leaving) {
  entries_.at(path).state = leaving ? State::kLeaving : State::kWithdrawn;
}

void TreeBook::Remove(const std::string& path) {
  auto found = entries_.find(path);
  if (found == entries_.end()) return;
  auto paths = of_snapshot_.find(found->second.snapshot_id);
  paths->second.erase(path);
  if (paths->second.empty()) of_snapshot_.erase(paths);
  withdrawn_.erase(path);
  copied_ -= found->second.copied;
  entries_.erase(found);
}

const std::set<std::string>& TreeBook::PathsOf(const std::string& snapshot_id) const {
  static const std::set<std::string> kNone;
  auto found = of_snapshot_.find(snapshot_id);
  return found == of_snapshot_.end() ? kNone : found->second;
}

const TreeBook::Entry* TreeBook::Find(const std::string& path) const {
  auto found = entries_.find(path);
  return found == entries_.end() ? nullptr : &found->second;
}

std::optional<std::string> TreeBook::FindReady(const std::string& snapshot_id, Layout layout,
                                               const std::string& requested_revision) const {
  for (const std::string& path : PathsOf(snapshot_id)) {
    const Entry& entry = entries_.at(path);
    bool same = entry.layout == layout && entry.requested_revision == requested_revision;
    if (same && entry.state == State::kReady) return path;
  }
  return std::nullopt;
}

std::string TreeBook::FreeName(const std::string& base) const {
  std::string name = base;
  for (int generation = 2; entries_.contains(name); ++generation) {
    name = RootLayout::TreeGeneration(base, generation);
  }
  return name;
}

std::vector<std::string> TreeBook::OfSnapshot(const std::string& snapshot_id) const {
  const std::set<std::string>& paths = PathsOf(snapshot_id);
  return {paths.begin(), paths.end()};
}

std::vector<TreeRecord> TreeBook::Records(const std::string& snapshot_id) const {
  std::vector<TreeRecord> records;
  for (const std::string& path : PathsOf(snapshot_id)) {
    const Entry& entry = entries_.at(path);
    records.push_back(
        {.path = path,
         .layout = entry.layout,
         .requested_revision = entry.requested_revision,
         .withdrawn = entry.state == State::kWithdrawn || entry.state == State::kLeaving,
         .copied = entry.copied});
  }
  return records;
}

Bytes TreeBook::CopiedBytes(const std::string& snapshot_id) const {
  Bytes sum = 0;
  for (const std::string& path : PathsOf(snapshot_id)) sum += entries_.at(path).copied;
  return sum;
}

}  // namespace weighhouse::store
