#include "csi/volume_stats.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"

namespace weighhouse::csi {
namespace {

constexpr std::chrono::seconds kPatience{2};

std::unexpected<Error> NotPublished(const std::string& volume_id, const std::string& path) {
  return Fail(Code::kNotFound, fmt::format("volume {} is not published at {}",
                                           Printable(volume_id, 128), Printable(path, 400)));
}

}  // namespace

void TreeMeter::Count(const std::string& tree) {
  Result<VolumeSizes> sizes = disk_.Measure(tree);
  if (!sizes) LogRepeated(LogLevel::kWarning, sizes.error().message);
  {
    MutexLock lock(mutex_);
    if (sizes) known_[tree] = *sizes;
    pending_.erase(tree);
  }
  changed_.NotifyAll();
}

std::optional<VolumeSizes> TreeMeter::Measure(const std::string& tree,
                                              std::chrono::steady_clock::time_point deadline) {
  bool begin = false;
  {
    MutexLock lock(mutex_);
    begin = !known_.contains(tree) && pending_.insert(tree).second;
  }
  if (begin) worker_.Post([this, tree] { Count(tree); });
  MutexLock lock(mutex_);
  while (pending_.contains(tree)) {
    if (!changed_.WaitUntil(lock, deadline)) break;
  }
  auto found = known_.find(tree);
  if (found == known_.end()) return std::nullopt;
  return found->second;
}

Result<VolumeReport> VolumeStats::Report(const std::string& volume_id, const std::string& path) {
  Result<TargetPath> target = TargetPath::Parse(path, kubelet_root_);
  if (!target) return NotPublished(volume_id, path);
  RootDirectory root = TRY(disk_.OpenKubeletRoot());
  VolumeMounts mounts = TRY(disk_.Mounts());
  VolumeMounts::Found found = mounts.At(target->MountPoint(root));
  using Kind = VolumeMounts::Kind;
  if (found.kind == Kind::kNone || found.kind == Kind::kForeign) {
    return NotPublished(volume_id, path);
  }
  std::optional<Publication> known = published_.Find(target->path);
  std::string owner = known ? known->volume_id : "";
  if (owner.empty()) owner = disk_.VolumeHandle(*target);
  if (!owner.empty() && owner != volume_id) return NotPublished(volume_id, path);
  VolumeReport report{.sizes = {}, .abnormal = false, .condition = "mounted"};
  if (known && known->sizes) report.sizes = *known->sizes;
  if (found.kind == Kind::kDead) {
    report.abnormal = true;
    report.condition = "the cache was removed below this volume: restart the pod";
    return report;
  }
  if (known && known->sizes) return report;
  std::optional<VolumeSizes> sizes =
      meter_.Measure(found.tree, std::chrono::steady_clock::now() + kPatience);
  if (!sizes) {
    report.abnormal = true;
    report.condition = "the cache's disk does not answer in time";
    return report;
  }
  report.sizes = *sizes;
  published_.SetSizes(target->path, *sizes);
  return report;
}

}  // namespace weighhouse::csi
