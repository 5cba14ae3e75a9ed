// Names of files, as any source may list them: one a line.

#include <algorithm>
#include <filesystem>
#include <set>

#include "cache-daemon/source/file_name.h"
#include "cache-daemon/store/snapshot_record.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {
namespace {

/// What the kernel will make of a path below a tree: an own reading of it.
void CheckStaysInside(const std::string& path) {
  const std::filesystem::path tree = "/root/tree";
  std::filesystem::path whole = tree / path;
  CHECK(whole == whole.lexically_normal());
  CHECK(whole.string() == "/root/tree/" + path);
  CHECK(whole.string().size() > tree.string().size() + 1);
  for (const std::filesystem::path& part : std::filesystem::path(path)) {
    CHECK(part != ".." && part != "." && !part.empty() && part.string().size() <= 255);
  }
  CHECK(std::ranges::none_of(path, [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
  CHECK(!path.contains('\\'));
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(file_name, bytes) {
  std::string_view rest = bytes;
  Listing listing{.origin = "o", .revision = "r"};
  bool all_good = true;
  while (!rest.empty()) {
    std::string path(fuzz::TakeUntil(rest, '\n'));
    Result<> good = CheckPath(path);
    if (good) CheckStaysInside(path);
    if (!good) CHECK(good.error().code == Code::kInvalidArgument);
    all_good = all_good && good;
    listing.files.push_back({.path = std::move(path), .size = 1, .identity = {.value = "v"}});
  }
  Result<> listed = CheckListing(listing);
  if (!listed) return;
  CHECK(all_good && !listing.files.empty());
  std::set<std::string> paths, directories;
  for (const ListedFile& file : listing.files) {
    CHECK(paths.insert(file.path).second);
    std::filesystem::path parent = std::filesystem::path(file.path).parent_path();
    for (; !parent.empty(); parent = parent.parent_path()) directories.insert(parent.string());
  }
  for (const std::string& directory : directories) CHECK(!paths.contains(directory));
  // The store's own door lets through what the sources' did.
  CHECK(store::CheckSnapshotListing(listing));
}

}  // namespace weighhouse::source
