#pragma once

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/root_layout.h"
#include "cache-daemon/store/snapshot_record.h"

namespace weighhouse::store {

/// Reads the records of many snapshots, on threads of its own where that is worth it: a start with
/// thousands of them waits for little else.
class RecordScan {
 public:
  /// Begins. `filesystem` and `layout` outlive it.
  RecordScan(io::Filesystem& filesystem, const RootLayout& layout, std::vector<std::string> ids);
  ~RecordScan();
  RecordScan(const RecordScan&) = delete;
  RecordScan& operator=(const RecordScan&) = delete;

  const std::vector<std::string>& ids() const { return ids_; }
  /// Waits for the end. What ReadSnapshotRecord says of each id, in the order of the ids. Once.
  std::vector<Result<SnapshotRecord>> Finish();

 private:
  void Run();

  io::Filesystem& filesystem_;
  const RootLayout& layout_;
  const std::vector<std::string> ids_;
  std::vector<Result<SnapshotRecord>> records_;  // each written by the thread that drew its place
  std::atomic<size_t> next_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace weighhouse::store
