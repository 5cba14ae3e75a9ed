#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/units.h"

namespace weighhouse::csi {

/// What a volume holds.
struct VolumeSizes {
  Bytes bytes = 0;
  uint64_t files = 0;
};

/// What is known of one publish that succeeded. What a restart of the plugin made us forget is
/// empty.
struct Publication {
  std::string volume_id;
  std::string fingerprint;  ///< equal for equal requests
  std::string pod_namespace, pod_name;
  bool single_writer =
      false;  ///< asked for by SINGLE_NODE_SINGLE_WRITER: nobody else may use the volume
  std::string tree;
  std::optional<VolumeSizes> sizes;
};

/// The publishes of this process's life, and those that the reconciler found mounted, by target
/// path. Memory only: the mounts and the daemon's leases are the truth, this saves asking.
/// Thread-safe.
class PublishedTable {
 public:
  void Put(const std::string& target, Publication publication) EXCLUDES(mutex_);
  /// Adds what was found mounted, unless the target is known.
  void Adopt(const std::string& target, const Publication& publication) EXCLUDES(mutex_);
  void SetSizes(const std::string& target, VolumeSizes sizes) EXCLUDES(mutex_);
  void Erase(const std::string& target) EXCLUDES(mutex_);
  std::optional<Publication> Find(const std::string& target) const EXCLUDES(mutex_);
  struct Other {
    std::string target;
    bool single_writer = false;
  };
  /// Where else `volume_id` is published.
  std::vector<Other> OthersOf(const std::string& volume_id, const std::string& target) const
      EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::map<std::string, Publication> publications_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::csi
