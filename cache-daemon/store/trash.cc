#include "cache-daemon/store/trash.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace weighhouse::store {

Result<> Trash::Move(const std::string& tree) {
  while (true) {
    std::string name;
    {
      MutexLock lock(mutex_);
      name = RootLayout::Trash(tree, ++last_number_);
    }
    auto moved =
        filesystem_.Rename(layout_.Absolute(tree), layout_.Absolute(name), io::Replace::kNever);
    if (moved.has_value()) {
      MutexLock lock(mutex_);
      trees_.push_back(std::move(name));
      return {};
    }
    if (moved.error().code == Code::kNotFound) return {};
    // What an earlier process could not remove has that number.
    if (moved.error().code != Code::kAlreadyExists) return moved;
  }
}

void Trash::Empty() {
  MutexLock emptying(emptying_);
  std::vector<std::string> trees;
  {
    MutexLock lock(mutex_);
    trees.swap(trees_);
  }
  for (std::string& tree : trees) {
    auto removed = io::RemoveTree(filesystem_, layout_.Absolute(tree));
    if (removed.has_value()) continue;
    LogRepeated(LogLevel::kWarning,
                fmt::format("store: a removed tree still takes space, trying again later: {}",
                            removed.error().message));
    MutexLock lock(mutex_);
    trees_.push_back(std::move(tree));
  }
}

}  // namespace weighhouse::store
