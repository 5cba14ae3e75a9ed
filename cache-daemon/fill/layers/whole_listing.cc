#include "cache-daemon/fill/layers/whole_listing.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "cache-daemon/source/file_name.h"

namespace weighhouse::fill {
namespace {

using Tree = std::map<std::string, ListedFile>;

/// What lies below the directory `path`; all, if that is "".
void EraseBelow(Tree& tree, const std::string& path) {
  if (path.empty()) return tree.clear();
  // '0' is the character after '/'.
  tree.erase(tree.lower_bound(path + "/"), tree.lower_bound(path + "0"));
}

void Hide(Tree& tree, const store::LayerEntry& entry) {
  using enum store::LayerEntry::Kind;
  if (entry.kind == kFile) return;
  EraseBelow(tree, entry.path);
  if (entry.kind == kWhiteout) tree.erase(entry.path);
}

/// Files of layers below that are directories now.
void EraseParents(Tree& tree, const std::string& path) {
  for (size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    tree.erase(path.substr(0, slash));
  }
}

}  // namespace

std::vector<ListedFile> Overlay(const std::vector<KnownLayer>& layers) {
  Tree tree;
  for (const auto& [layer, record] : layers) {
    Tree own;
    for (const store::LayerEntry& entry : record.entries) {
      Hide(tree, entry);
      if (entry.kind != store::LayerEntry::Kind::kFile) continue;
      LayerPlace place{
          .digest = layer.digest, .size = layer.size, .prefix = layer.prefix, .path = entry.path};
      own[entry.path] = {.path = entry.path,
                         .size = entry.size,
                         .identity = {FileIdentity::Kind::kVersionToken, place.ToToken()}};
    }
    for (auto& [path, file] : own) {
      EraseParents(tree, path);
      EraseBelow(tree, path);
    }
    for (auto& [path, file] : own) tree[path] = std::move(file);
  }
  std::vector<ListedFile> files;
  files.reserve(tree.size());
  for (auto& [path, file] : tree) files.push_back(std::move(file));
  return files;
}

Result<Listing> WithLayers(const store::Store& store, Listing listing) {
  if (listing.packed.empty()) return listing;
  store::LayerOrigin origin{.origin = listing.origin, .anonymous = listing.anonymous};
  std::vector<KnownLayer> known;
  for (const PackedLayer& layer : listing.packed) {
    std::optional<store::LayerRecord> record = store.FindLayer(origin, layer);
    if (!record) return listing;
    known.push_back({.layer = layer, .record = *std::move(record)});
  }
  bool of_image = !listing.packed.front().prefix.empty();
  std::string prefix = listing.packed.front().prefix;
  listing.packed.clear();
  std::ranges::move(Overlay(known), std::back_inserter(listing.files));
  if (listing.files.empty() && of_image) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the image has no files in /{}: that is where a model's are served "
                            "from",
                            prefix.substr(0, prefix.size() - 1)));
  }
  std::ranges::sort(listing.files);
  TRY(source::CheckListing(listing));
  return listing;
}

}  // namespace weighhouse::fill
