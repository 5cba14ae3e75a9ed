// Patterns of a pod (the first lines, up to an empty one) over the names that a source lists.

#include <algorithm>

#include "cache-daemon/source/file_filter.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {

WEIGHHOUSE_FUZZ_TARGET(file_filter, bytes) {
  std::string_view rest = bytes;
  unsigned char lists = fuzz::TakeByte(rest);
  ModelReference reference{.uri = "hf://o/n"};
  if (lists & 1) reference.allow_patterns.emplace();
  if (lists & 2) reference.ignore_patterns.emplace();
  while (!rest.empty()) {
    std::string pattern(fuzz::TakeUntil(rest, '\n'));
    if (pattern.empty()) break;
    auto& list = pattern.front() == '!' ? reference.ignore_patterns : reference.allow_patterns;
    if (list) list->push_back(std::move(pattern));
  }
  Listing listing{.origin = "o", .revision = "r"};
  while (!rest.empty() && listing.files.size() < 1000) {
    listing.files.push_back({.path = std::string(fuzz::TakeUntil(rest, '\n')), .size = 1});
  }
  std::ranges::sort(listing.files);
  Result<Listing> taken = ApplyPatterns(listing, reference);
  if (!taken) {
    CHECK(taken.error().code == Code::kInvalidArgument);
    return;
  }
  CHECK(!taken->files.empty() && taken->files.size() <= listing.files.size());
  CHECK(std::ranges::includes(listing.files, taken->files));
  Result<Listing> again = ApplyPatterns(*taken, reference);
  CHECK(again && again->files == taken->files);
}

}  // namespace weighhouse::source
