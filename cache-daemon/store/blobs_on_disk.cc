#include "cache-daemon/store/blobs_on_disk.h"

#include <algorithm>
#include <string>

#include "cache-daemon/store/tidy_names.h"

namespace weighhouse::store {

Result<BlobsOnDisk> BlobsOnDisk::Scan(io::Filesystem& filesystem, const RootLayout& layout) {
  BlobsOnDisk found;
  std::vector<std::string> prefixes = TRY(TidyNames(filesystem, layout.BlobsDirectory()));
  for (const std::string& prefix : prefixes) {
    if (!IsHex(prefix, 2)) continue;
    std::vector<std::string> names = TRY(TidyNames(filesystem, layout.BlobDirectory(prefix)));
    for (const std::string& name : names) {
      auto digest = Digest::FromHex(name);
      if (digest.has_value() && name.starts_with(prefix)) found.sorted_.push_back(*digest);
    }
  }
  std::ranges::sort(found.sorted_);
  return found;
}

bool BlobsOnDisk::Contains(const Digest& sha256) const {
  return std::ranges::binary_search(sorted_, sha256);
}

void BlobSizes::Sort() {
  std::ranges::sort(entries_);
  auto [first, last] = std::ranges::unique(entries_, {}, &Entry::first);
  entries_.erase(first, last);
}

bool BlobSizes::Contains(const Digest& sha256) const {
  return std::ranges::binary_search(entries_, sha256, {}, &Entry::first);
}

}  // namespace weighhouse::store
