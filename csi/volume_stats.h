#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/error.h"
#include "base/mutex.h"
#include "base/worker_pool.h"
#include "csi/published.h"
#include "csi/volume_disk.h"

namespace weighhouse::csi {

/// Sums over trees, counted by a thread of its own: a disk that hangs must not hang who asks.
/// Thread-safe.
class TreeMeter {
 public:
  explicit TreeMeter(const VolumeDisk& disk) : disk_(disk) {}
  /// Nothing if the count isn't done, or failed, by `deadline`; asking again joins the count under
  /// way. A tree never changes, so a sum is kept.
  std::optional<VolumeSizes> Measure(const std::string& tree,
                                     std::chrono::steady_clock::time_point deadline)
      EXCLUDES(mutex_);

 private:
  void Count(const std::string& tree) EXCLUDES(mutex_);

  const VolumeDisk& disk_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::map<std::string, VolumeSizes> known_ GUARDED_BY(mutex_);
  std::set<std::string> pending_ GUARDED_BY(mutex_);
  WorkerPool worker_{"measure", 1};  // last: its jobs use the rest
};

/// What NodeGetVolumeStats says.
struct VolumeReport {
  VolumeSizes sizes;
  bool abnormal = false;
  std::string condition;
};

/// Answers for volumes that are mounted. Thread-safe.
class VolumeStats {
 public:
  VolumeStats(std::string kubelet_root, const VolumeDisk& disk, PublishedTable& published)
      : kubelet_root_(std::move(kubelet_root)), disk_(disk), published_(published), meter_(disk) {}
  /// Blocks for two seconds at most. kNotFound unless `volume_id` is published at `path`, whatever
  /// the path looks like.
  Result<VolumeReport> Report(const std::string& volume_id, const std::string& path);

 private:
  const std::string kubelet_root_;
  const VolumeDisk& disk_;
  PublishedTable& published_;
  TreeMeter meter_;
};

}  // namespace weighhouse::csi
