#include "cache-daemon/store/tidy_names.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {

void RemoveGarbage(io::Filesystem& filesystem, const std::string& path) {
  auto removed = io::RemoveTree(filesystem, path);
  if (!removed.has_value())
    LogRepeated(LogLevel::kWarning,
                fmt::format("store: garbage stays: {}", removed.error().message));
}

Result<std::vector<std::string>> TidyNames(io::Filesystem& filesystem,
                                           const std::string& directory) {
  std::vector<io::DirectoryEntry> entries = TRY(filesystem.List(directory));
  std::vector<std::string> names;
  names.reserve(entries.size());
  for (io::DirectoryEntry& entry : entries) {
    if (RootLayout::IsTemporary(entry.name)) {
      RemoveGarbage(filesystem, fmt::format("{}/{}", directory, entry.name));
    } else {
      names.push_back(std::move(entry.name));
    }
  }
  return names;
}

}  // namespace weighhouse::store
