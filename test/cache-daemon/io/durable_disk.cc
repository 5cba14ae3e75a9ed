#include "test/cache-daemon/io/durable_disk.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <random>
#include <set>
#include <utility>

#include "base/error.h"
#include "test/cache-daemon/io/operation_journal.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kDirectoryMode = 0755;
constexpr size_t kBlock = 4096;

unsigned ParseMode(const std::string& octal) {
  return static_cast<unsigned>(std::stoul(octal, nullptr, 8));
}

}  // namespace

std::string_view PowerLossName(PowerLoss loss) {
  switch (loss) {
    case PowerLoss::kAll:
      return "all";
    case PowerLoss::kNames:
      return "names";
    case PowerLoss::kData:
      return "data";
    case PowerLoss::kZeros:
      return "zeros";
    case PowerLoss::kSome:
      return "some";
  }
  return "";
}

std::vector<PowerCut> PowerCutsAfter(unsigned crash) {
  constexpr unsigned kMost = 1000;  // a crash's seeds are its own
  const char* more = std::getenv("WEIGHHOUSE_CRASH_CUTS");
  unsigned some = more == nullptr ? 0 : static_cast<unsigned>(std::atoi(more));
  std::vector<PowerCut> cuts;
  for (PowerLoss loss : kPowerLosses) cuts.push_back({loss, crash * kMost});
  for (unsigned i = 1; i <= std::min(some, kMost - 1); ++i) {
    cuts.push_back({PowerLoss::kSome, crash * kMost + i});
  }
  return cuts;
}

DurableDisk::DurableDisk(const fs::path& record) : top_(std::make_shared<Node>()) {
  top_->directory = true;
  for (const Operation& done : OperationJournal(record).Happened()) {
    bool known = ReplayFile(done.kind, done.path, done.argument) ||
                 ReplayName(done.kind, done.path, done.argument);
    CHECK(known);
  }
}

bool DurableDisk::ReplayFile(std::string_view operation, const std::string& path,
                             const std::string& argument) {
  Place place = PlaceOf(path);
  Names& names = place.directory->names;
  if (operation == "create") {
    Create(place, false, ParseMode(argument));
  } else if (operation == "write") {
    if (!names.contains(place.name)) Create(place, false, ParseMode(argument));
    // The old bytes may go before the new ones come.
    names[place.name]->synced.clear();
  } else if (operation == "append") {
    if (!names.contains(place.name)) Create(place, false, ParseMode(argument));
  } else if (operation == "chmod") {
    auto found = names.find(place.name);
    if (found != names.end()) found->second->mode = ParseMode(argument);
  } else if (operation == "fsync") {
    Node& file = *FileAt(path);
    file.synced = argument;
    file.synced_mode = file.mode;
  } else if (operation == "fdatasync") {
    FileAt(path)->synced = argument;
  } else {
    return false;
  }
  return true;
}

bool DurableDisk::ReplayName(std::string_view operation, const std::string& path,
                             const std::string& argument) {
  if (operation == "mkdir") {
    Create(PlaceOf(path), true, kDirectoryMode);
  } else if (operation == "rename") {
    Rename(PlaceOf(path), PlaceOf(argument));
  } else if (operation == "link") {
    Place place = PlaceOf(argument);
    std::shared_ptr<Node> file = FileAt(path);
    place.directory->names[place.name] = file;
    unsynced_.push_back({.from = std::nullopt, .to = place, .node = std::move(file)});
  } else if (operation == "remove") {
    Place place = PlaceOf(path);
    auto found = place.directory->names.find(place.name);
    CHECK(found != place.directory->names.end());
    unsynced_.push_back({.from = place, .to = std::nullopt, .node = found->second});
    place.directory->names.erase(found);
  } else if (operation == "syncdirectory") {
    SyncDirectory(*DirectoryAt(path));
  } else {
    return false;
  }
  return true;
}

void DurableDisk::Create(const Place& place, bool directory, unsigned mode) {
  auto node =
      std::make_shared<Node>(Node{.directory = directory, .mode = mode, .synced_mode = mode});
  place.directory->names[place.name] = node;
  unsynced_.push_back({.from = std::nullopt, .to = place, .node = std::move(node)});
}

void DurableDisk::Rename(const Place& from, const Place& to) {
  auto found = from.directory->names.find(from.name);
  CHECK(found != from.directory->names.end());
  std::shared_ptr<Node> moved = found->second;
  from.directory->names.erase(found);
  to.directory->names[to.name] = moved;
  unsynced_.push_back({.from = from, .to = to, .node = std::move(moved)});
}

bool DurableDisk::Change::IsIn(const Node& directory) const {
  return (from && from->directory.get() == &directory) || (to && to->directory.get() == &directory);
}

bool DurableDisk::Change::SharesNameWith(const Change& other) const {
  auto has = [&](const std::optional<Place>& place) {
    return place && (place == other.from || place == other.to);
  };
  return has(from) || has(to);
}

std::vector<DurableDisk::Change> DurableDisk::Select(
    const std::function<bool(const Change&)>& wanted) const {
  std::vector<Change> selected;
  for (auto change = unsynced_.rbegin(); change != unsynced_.rend(); ++change) {
    bool needed = wanted(*change) || std::ranges::any_of(selected, [&](const Change& later) {
                    return change->SharesNameWith(later);
                  });
    if (needed) selected.push_back(*change);
  }
  std::ranges::reverse(selected);
  return selected;
}

void DurableDisk::SyncDirectory(Node& directory) {
  std::vector<Change> synced = Select([&](const Change& change) { return change.IsIn(directory); });
  for (const Change& change : synced) {
    if (change.from) change.from->directory->synced_names.erase(change.from->name);
    if (change.to) change.to->directory->synced_names[change.to->name] = change.node;
    unsynced_.erase(std::ranges::find(unsynced_, change));
  }
  CHECK(directory.synced_names == directory.names);
  for (const auto& [name, node] : directory.names) node->synced_mode = node->mode;
}

DurableDisk::Place DurableDisk::PlaceOf(const fs::path& path) {
  std::shared_ptr<Node> directory = top_;
  for (const fs::path& part : path.parent_path().relative_path()) {
    auto found = directory->names.find(part.string());
    // Nobody made it, so it was there before.
    if (found == directory->names.end()) {
      auto old = std::make_shared<Node>(Node{.directory = true, .mode = kDirectoryMode});
      directory->synced_names[part.string()] = old;
      found = directory->names.emplace(part.string(), std::move(old)).first;
    }
    std::shared_ptr<Node> next = found->second;
    CHECK(next->directory);
    directory = std::move(next);
  }
  return {.directory = std::move(directory), .name = path.filename().string()};
}

std::shared_ptr<DurableDisk::Node> DurableDisk::FileAt(const fs::path& path) {
  Place place = PlaceOf(path);
  auto found = place.directory->names.find(place.name);
  CHECK(found != place.directory->names.end());
  return found->second;
}

std::shared_ptr<DurableDisk::Node> DurableDisk::DirectoryAt(const fs::path& path) {
  return PlaceOf(path / "a name").directory;
}

/// One copying of what a power cut leaves.
struct DurableDisk::Copy {
  PowerLoss loss;
  std::mt19937 random;
  std::map<const Node*, Names> changed;  ///< names that differ from the synced ones
  std::set<const Node*> renamed;         ///< what got a name that wasn't synced
  std::map<const Node*, fs::path> live;  ///< a name that the file still has
  std::map<const Node*, fs::path> made;  ///< the file's first name in the copy

  bool LosesData() const { return loss != PowerLoss::kNames; }
  bool Coin() { return random() % 2 == 0; }

  const Names& NamesIn(const Node& directory) const {
    if (loss == PowerLoss::kData || loss == PowerLoss::kZeros) return directory.names;
    auto found = changed.find(&directory);
    return found == changed.end() ? directory.synced_names : found->second;
  }

  void Keep(const Change& change) {
    auto names = [&](const Place& place) -> Names& {
      return changed.emplace(place.directory.get(), place.directory->synced_names).first->second;
    };
    if (change.from) names(*change.from).erase(change.from->name);
    if (change.to) names(*change.to)[change.to->name] = change.node;
    renamed.insert(change.node.get());
  }

  /// The old bytes, the new ones, or blocks of each.
  std::string Mix(const std::string& synced, const std::string& written) {
    std::string mixed(Coin() ? synced.size() : written.size(), '\0');
    bool blocks = Coin();
    bool fresh = Coin();
    for (size_t begin = 0; begin < mixed.size(); begin += kBlock) {
      const std::string& source = (blocks ? Coin() : fresh) ? written : synced;
      size_t end = std::min({begin + kBlock, source.size(), mixed.size()});
      for (size_t i = begin; i < end; ++i) mixed[i] = source[i];
    }
    return mixed;
  }

  void FindLive(const Node& directory, const fs::path& path) {
    for (const auto& [name, node] : directory.names) {
      if (node->directory) {
        FindLive(*node, path / name);
      } else {
        live.emplace(node.get(), path / name);
      }
    }
  }

  std::string Content(const Node& file) {
    auto place = live.find(&file);
    bool whole = !LosesData() && place != live.end();
    if (whole) return ReadTestFile(place->second);
    std::string content = file.synced.empty() ? "" : ReadTestFile(file.synced);
    if (loss == PowerLoss::kSome && place != live.end()) {
      return Mix(content, ReadTestFile(place->second));
    }
    if (loss == PowerLoss::kZeros && place != live.end()) {
      content.resize(std::max<size_t>(content.size(), fs::file_size(place->second)), '\0');
    }
    return content;
  }

  void MakeFile(const Node& file, const fs::path& path) {
    auto [first, fresh] = made.emplace(&file, path);
    if (!fresh) return fs::create_hard_link(first->second, path);
    std::ofstream(path, std::ios::binary) << Content(file);
    if (!file.synced.empty()) fs::last_write_time(path, fs::last_write_time(file.synced));
    bool as_now = loss == PowerLoss::kData || loss == PowerLoss::kZeros || renamed.contains(&file);
    fs::permissions(path, fs::perms(as_now ? file.mode : file.synced_mode));
  }

  void MakeDirectory(const Node& directory, const fs::path& path) {
    fs::create_directory(path);
    for (const auto& [name, node] : NamesIn(directory)) {
      if (node->directory) {
        MakeDirectory(*node, path / name);
      } else {
        MakeFile(*node, path / name);
      }
    }
  }
};

void DurableDisk::CutPower(const fs::path& source, const fs::path& target, PowerCut cut) const {
  Copy copy{.loss = cut.loss, .random = std::mt19937(cut.seed)};
  if (cut.loss == PowerLoss::kSome) {
    for (const Change& kept : Select([&](const Change&) { return copy.Coin(); })) copy.Keep(kept);
  }
  const Node* node = top_.get();
  const Node* live = top_.get();
  for (const fs::path& part : source.relative_path()) {
    auto find = [&](const Names& names) -> const Node* {
      auto found = names.find(part.string());
      return found == names.end() ? nullptr : found->second.get();
    };
    live = live == nullptr ? nullptr : find(live->names);
    node = find(copy.NamesIn(*node));
    if (node == nullptr) return;
  }
  if (live != nullptr) copy.FindLive(*live, source);
  copy.MakeDirectory(*node, target);
}

}  // namespace weighhouse::io
