#include "cache-daemon/store/tree_book.h"

#include <utility>

#include "base/error.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {

void TreeBook::Add(const std::string& path, Entry entry) {
  bool added = entries_.emplace(path, std::move(entry)).second;
  CHECK(added);
}

void TreeBook::MarkReady(const std::string& path, Bytes copied) {
  Entry& entry = entries_.at(path);
  CHECK(entry.state == State::kBuilding);
  entry.state = State::kReady;
  entry.copied = copied;
}

void TreeBook::Withdraw(const std::string& path) { entries_.at(path).state = State::kWithdrawn; }

void TreeBook::SetLeaving(const std::string& path, bool leaving) {
  entries_.at(path).state = leaving ? State::kLeaving : State::kWithdrawn;
}

const TreeBook::Entry* TreeBook::Find(const std::string& path) const {
  auto found = entries_.find(path);
  return found == entries_.end() ? nullptr : &found->second;
}

std::optional<std::string> TreeBook::FindReady(const std::string& snapshot_id, Layout layout,
                                               const std::string& requested_revision) const {
  for (const auto& [path, entry] : entries_) {
    bool same = entry.snapshot_id == snapshot_id && entry.layout == layout &&
                entry.requested_revision == requested_revision;
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
  std::vector<std::string> paths;
  for (const auto& [path, entry] : entries_) {
    if (entry.snapshot_id == snapshot_id) paths.push_back(path);
  }
  return paths;
}

std::vector<TreeRecord> TreeBook::Records(const std::string& snapshot_id) const {
  std::vector<TreeRecord> records;
  for (const auto& [path, entry] : entries_) {
    if (entry.snapshot_id != snapshot_id) continue;
    records.push_back(
        {.path = path,
         .layout = entry.layout,
         .requested_revision = entry.requested_revision,
         .withdrawn = entry.state == State::kWithdrawn || entry.state == State::kLeaving,
         .copied = entry.copied});
  }
  return records;
}

}  // namespace weighhouse::store
