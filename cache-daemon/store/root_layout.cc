#include "cache-daemon/store/root_layout.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::store {
namespace {

constexpr size_t kMaxNameSize = 255;
constexpr size_t kMaxPathSize = 2048;
// Deeper ones serve nobody, and a listing of them would name a million directories.
constexpr auto kMaxDepth = 64;

/// `path` with `edit` applied to its last component.
template <class Edit>
std::string WithLastComponent(const std::string& path, Edit edit) {
  size_t slash = path.rfind('/');
  return path.substr(0, slash + 1) + edit(path.substr(slash + 1));
}

}  // namespace

RootLayout::RootLayout(std::string root) : root_(std::move(root)) {
  while (root_.size() > 1 && root_.ends_with('/')) root_.pop_back();
}

std::string RootLayout::Absolute(std::string_view relative) const {
  return fmt::format("{}/{}", root_, relative);
}

std::string RootLayout::BlobDirectory(std::string_view prefix) const {
  return fmt::format("{}/{}", BlobsDirectory(), prefix);
}

std::string RootLayout::BlobDirectory(const Digest& sha256) const {
  return BlobDirectory(sha256.Hex().substr(0, 2));
}

std::string RootLayout::Blob(const Digest& sha256) const {
  return fmt::format("{}/{}", BlobDirectory(sha256), sha256.Hex());
}

std::string RootLayout::SnapshotRecord(const std::string& id) const {
  return fmt::format("{}/{}.json", SnapshotsDirectory(), id);
}

std::string RootLayout::SnapshotJournal(const std::string& id) const {
  return fmt::format("{}/{}.verified", SnapshotsDirectory(), id);
}

std::string RootLayout::Reference(const std::string& fingerprint) const {
  return fmt::format("{}/{}.json", ReferencesDirectory(), fingerprint);
}

std::string RootLayout::Layer(const std::string& id) const {
  return fmt::format("{}/{}.json", LayersDirectory(), id);
}

std::string RootLayout::Hold(const std::string& id) const {
  return fmt::format("{}/{}.json", HoldsDirectory(), id);
}

std::string RootLayout::Volume(const std::string& key) const {
  return fmt::format("{}/{}.json", VolumesDirectory(), key);
}

std::string RootLayout::Grants(const std::string& key) const {
  return fmt::format("{}/{}.json", GrantsDirectory(), key);
}

std::string RootLayout::Quarantined(const Digest& sha256) const {
  return fmt::format("{}/{}", QuarantineDirectory(), sha256.Hex());
}

std::string RootLayout::FilesTree(const std::string& snapshot_id) {
  return fmt::format("{}/{}", kFilesTrees, snapshot_id);
}

std::string RootLayout::HubTree(const std::string& snapshot_id, std::string_view repository,
                                std::string_view commit, std::string_view requested_revision) {
  // None of the four can hold a line feed, so different lists never give the same text.
  std::string fields =
      fmt::format("{}\n{}\n{}\n{}", snapshot_id, repository, commit, requested_revision);
  return fmt::format("{}/{}", kHubTrees, Digest::Of(fields).Hex());
}

std::string RootLayout::TreeGeneration(const std::string& tree, int generation) {
  return fmt::format("{}-{}", tree, generation);
}

std::string RootLayout::UnfinishedTree(const std::string& tree) {
  return WithLastComponent(tree, [](const std::string& name) { return ".new-" + name; });
}

std::string RootLayout::Trash(const std::string& tree, size_t number) {
  return WithLastComponent(
      tree, [&](const std::string& name) { return fmt::format(".gone-{}-{}", number, name); });
}

std::string RootLayout::HubDirectory(std::string_view repository) {
  std::string name = "models--";
  for (char c : repository) {
    if (c == '/') {
      name += "--";
    } else {
      name += c;
    }
  }
  return name;
}

std::string RootLayout::TemporaryBeside(const std::string& path) {
  return WithLastComponent(path, [](const std::string& name) { return "." + name + ".new"; });
}

std::string ParentOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

bool IsSafeRelativePath(std::string_view path) {
  if (path.empty() || path.size() > kMaxPathSize) return false;
  if (Printable(path, path.size()) != path) return false;
  if (std::ranges::count(path, '/') >= kMaxDepth) return false;
  while (true) {
    size_t slash = path.find('/');
    std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxNameSize) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace weighhouse::store
