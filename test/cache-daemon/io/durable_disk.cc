#include "test/cache-daemon/io/durable_disk.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/error.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kDirectoryMode = 0755;

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
  }
  return "";
}

DurableDisk::DurableDisk(const fs::path& record) : top_(std::make_shared<Node>()) {
  top_->directory = true;
  std::ifstream journal(record / kJournal);
  std::string operation;
  std::string first;
  std::string second;
  while (std::getline(journal, operation, '\t') && std::getline(journal, first, '\t') &&
         std::getline(journal, second)) {
    bool known = ReplayFile(operation, first, second) || ReplayName(operation, first, second);
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
    place.directory->names[place.name] = FileAt(path);
  } else if (operation == "remove") {
    Place place = PlaceOf(path);
    CHECK(place.directory->names.erase(place.name) == 1);
  } else if (operation == "syncdirectory") {
    SyncDirectory(*DirectoryAt(path));
  } else {
    return false;
  }
  return true;
}

void DurableDisk::Create(const Place& place, bool directory, unsigned mode) {
  place.directory->names[place.name] =
      std::make_shared<Node>(Node{.directory = directory, .mode = mode, .synced_mode = mode});
}

void DurableDisk::Rename(const Place& from, const Place& to) {
  auto found = from.directory->names.find(from.name);
  CHECK(found != from.directory->names.end());
  std::shared_ptr<Node> moved = found->second;
  from.directory->names.erase(found);
  to.directory->names[to.name] = moved;
  unsynced_moves_.push_back({.from = from, .to = to, .moved = std::move(moved)});
}

void DurableDisk::SyncDirectory(Node& directory) {
  std::erase_if(unsynced_moves_, [&](const Move& move) {
    bool concerned =
        move.from.directory.get() == &directory || move.to.directory.get() == &directory;
    if (!concerned) return false;
    Names& left = move.from.directory->synced_names;
    auto old = left.find(move.from.name);
    if (old != left.end() && old->second == move.moved) left.erase(old);
    move.to.directory->synced_names[move.to.name] = move.moved;
    return true;
  });
  directory.synced_names = directory.names;
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
  std::map<const Node*, fs::path> live;  ///< a name that the file still has
  std::map<const Node*, fs::path> made;  ///< the file's first name in the copy

  bool LosesNames() const { return loss == PowerLoss::kAll || loss == PowerLoss::kNames; }
  bool LosesData() const { return loss != PowerLoss::kNames; }

  void FindLive(const Node& directory, const fs::path& path) {
    for (const auto& [name, node] : directory.names) {
      if (node->directory) {
        FindLive(*node, path / name);
      } else {
        live.emplace(node.get(), path / name);
      }
    }
  }

  std::string Content(const Node& file) const {
    auto place = live.find(&file);
    bool whole = !LosesData() && place != live.end();
    if (whole) return ReadTestFile(place->second);
    std::string content = file.synced.empty() ? "" : ReadTestFile(file.synced);
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
    fs::permissions(path, fs::perms(LosesNames() ? file.synced_mode : file.mode));
  }

  void MakeDirectory(const Node& directory, const fs::path& path) {
    fs::create_directory(path);
    for (const auto& [name, node] : LosesNames() ? directory.synced_names : directory.names) {
      if (node->directory) {
        MakeDirectory(*node, path / name);
      } else {
        MakeFile(*node, path / name);
      }
    }
  }
};

void DurableDisk::CutPower(const fs::path& source, const fs::path& target, PowerLoss loss) const {
  const Node* node = top_.get();
  const Node* live = top_.get();
  Copy copy{.loss = loss, .live = {}, .made = {}};
  for (const fs::path& part : source.relative_path()) {
    auto find = [&](const Names& names) -> const Node* {
      auto found = names.find(part.string());
      return found == names.end() ? nullptr : found->second.get();
    };
    live = live == nullptr ? nullptr : find(live->names);
    node = find(copy.LosesNames() ? node->synced_names : node->names);
    if (node == nullptr) return;
  }
  if (live != nullptr) copy.FindLive(*live, source);
  copy.MakeDirectory(*node, target);
}

}  // namespace weighhouse::io
