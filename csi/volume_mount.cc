#include "csi/volume_mount.h"

#include <algorithm>

#include "base/digest.h"

namespace weighhouse::csi {
namespace {

constexpr std::string_view kDeleted = "//deleted";

constexpr size_t kIdDigits = 64;
constexpr size_t kMaxGenerationDigits = 9;

/// "-2", "-3", …; or nothing.
bool IsGeneration(std::string_view text) {
  if (text.empty()) return true;
  bool sized = text.size() >= 2 && text.size() <= 1 + kMaxGenerationDigits;
  return sized && text[0] == '-' && text[1] != '0' &&
         text.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

}  // namespace

bool IsTreePath(std::string_view tree) {
  for (std::string_view prefix : {"trees/files/", "trees/hub/"}) {
    if (!tree.starts_with(prefix)) continue;
    std::string_view name = tree.substr(prefix.size());
    return IsHex(name.substr(0, kIdDigits), kIdDigits) &&
           IsGeneration(name.substr(std::min(name.size(), kIdDigits)));
  }
  return false;
}

VolumeMounts::VolumeMounts(std::vector<MountEntry> mounts, std::string_view cache_root)
    : mounts_(std::move(mounts)) {
  const MountEntry* holder = Covering(cache_root);
  if (holder == nullptr) return;
  cache_device_ = holder->device;
  cache_has_labels_ = holder->seclabel;
  std::string_view rest = cache_root;
  if (holder->mount_point != "/") rest.remove_prefix(holder->mount_point.size());
  cache_prefix_ = holder->root == "/" ? std::string() : holder->root;
  if (rest != "/") cache_prefix_ += rest;
}

VolumeMounts::Found VolumeMounts::Classify(const MountEntry& mount) const {
  std::string_view tree;
  bool dead = false;
  if (mount.filesystem == "overlay") {
    if (!mount.source.starts_with(kOverlaySourcePrefix)) return {.kind = Kind::kForeign};
    tree = std::string_view(mount.source).substr(kOverlaySourcePrefix.size());
  } else {
    tree = mount.root;
    dead = tree.ends_with(kDeleted);
    if (dead) tree.remove_suffix(kDeleted.size());
    bool below = mount.device == cache_device_ && tree.starts_with(cache_prefix_) &&
                 tree.substr(cache_prefix_.size()).starts_with('/');
    if (!below) return {.kind = Kind::kForeign};
    tree.remove_prefix(cache_prefix_.size() + 1);
  }
  if (dead && tree.starts_with("trees/")) return {.kind = Kind::kDead};
  if (!IsTreePath(tree)) return {.kind = Kind::kForeign};
  return {.kind = Kind::kVolume, .tree = std::string(tree), .scratch = mount.upper_layer};
}

VolumeMounts::Found VolumeMounts::At(std::string_view path) const {
  const MountEntry* mount = MountAt(mounts_, path);
  return mount == nullptr ? Found{} : Classify(*mount);
}

std::vector<VolumeMounts::Volume> VolumeMounts::Below(std::string_view directory) const {
  std::vector<Volume> volumes;
  for (const MountEntry& mount : mounts_) {
    if (!IsAtOrBelow(mount.mount_point, directory)) continue;
    Found found = Classify(mount);
    if (found.kind != Kind::kVolume || MountAt(mounts_, mount.mount_point) != &mount) continue;
    volumes.push_back({.mount_point = mount.mount_point, .tree = found.tree});
  }
  return volumes;
}

}  // namespace weighhouse::csi
