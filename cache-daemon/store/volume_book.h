#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache-daemon/store/volume_record.h"

namespace weighhouse::store {

/// 64 hexadecimal digits: what a volume's record and its hold are called on the disk.
std::string VolumeKey(const std::string& volume_id);

std::string VolumeToJson(const VolumeRecord& volume);
/// kDataLoss says what is wrong, also where it is another volume's than `key` says.
Result<VolumeRecord> ParseVolume(std::string_view json, const std::string& key);

/// The volumes that were promised, by key. Guarded by the store's mutex; does no I/O.
class VolumeBook {
 public:
  void Put(const VolumeRecord& volume) {
    volumes_.insert_or_assign(VolumeKey(volume.volume_id), volume);
  }
  void Remove(const std::string& key) { volumes_.erase(key); }
  /// Null: unknown.
  const VolumeRecord* Find(const std::string& key) const;
  /// Those that were created at `time` or before.
  std::vector<VolumeRecord> CreatedBy(std::chrono::system_clock::time_point time) const;
  size_t size() const { return volumes_.size(); }

 private:
  std::map<std::string, VolumeRecord> volumes_;
};

}  // namespace weighhouse::store
