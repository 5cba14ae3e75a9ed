#include "cache-daemon/store/store.h"

namespace weighhouse::store {

Bytes Snapshot::TotalBytes() const {
  Bytes sum = 0;
  for (const SnapshotFile& file : files) sum += file.listed.size;
  return sum;
}

Bytes Snapshot::PresentBytes() const {
  Bytes sum = 0;
  for (const SnapshotFile& file : files) sum += file.blob ? file.listed.size : 0;
  return sum;
}

}  // namespace weighhouse::store
