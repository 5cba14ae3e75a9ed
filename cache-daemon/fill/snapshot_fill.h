#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cache-daemon/fill/file_fill.h"
#include "cache-daemon/fill/rate_meter.h"

namespace weighhouse::fill {

/// One snapshot on its way to being complete: which of its files still lack their blob, and who
/// waits. On the strand.
class SnapshotFill {
 public:
  SnapshotFill(std::shared_ptr<const FillRequest> request,
               std::chrono::steady_clock::time_point begun);

  const std::string& id() const { return request().snapshot_id; }
  /// The first who asked: what the snapshot is.
  const FillRequest& request() const { return *requests_.front(); }
  /// Those who ask, each with other credentials.
  const std::vector<std::shared_ptr<const FillRequest>>& requests() const { return requests_; }
  /// One more who asks; false if somebody with the same credentials does already.
  bool AddRequest(std::shared_ptr<const FillRequest> request);

  std::chrono::steady_clock::time_point begun() const { return begun_; }
  FillPriority priority() const { return priority_; }
  void set_priority(FillPriority priority) { priority_ = priority; }

  void AddObserver(std::weak_ptr<FillObserver> observer, FillEntry entry);
  void NotifyProgress(const FillProgress& progress);
  void NotifyDone(const Result<FillProgress>& outcome);

  /// Holds what keeps the snapshot's space: its reservation and its place in the store.
  void Hold(store::Reservation reservation, std::shared_ptr<void> hold);

  /// Takes stock of the store's record: which files (by index, one per distinct content) lack their
  /// blob.
  void SetSnapshot(const store::Snapshot& snapshot);
  /// The next file that nobody began to fetch for this snapshot; nothing when all are begun.
  std::optional<ListedFile> NextFile();
  void FileBegun(const std::string& ingest_id) { running_.insert(ingest_id); }
  /// One of the begun files is a blob now; `fetched` of its bytes came over the network.
  void FileDone(const std::string& ingest_id, const ListedFile& file, Bytes fetched);
  bool Idle() const { return running_.empty() && waiting_.empty(); }
  const std::set<std::string>& running() const { return running_; }
  /// Taking stock again finds new files to fetch only so often: shared files whose bytes this
  /// origin may not use.
  int CountRound() { return ++rounds_; }

  /// What its running files do now.
  struct Running {
    Bytes received = 0;  ///< here but not verified yet
    Bytes fetched = 0;   ///< of these, from the network
    size_t connections = 0;
    std::vector<HostConnections> hosts;
    std::string waiting_for;
  };
  FillProgress Progress(Running running, std::chrono::steady_clock::time_point now);

 private:
  // Shared with the files that they ask for.
  std::vector<std::shared_ptr<const FillRequest>> requests_;
  const std::chrono::steady_clock::time_point begun_;
  FillPriority priority_;
  std::vector<std::weak_ptr<FillObserver>> observers_;
  store::Reservation reservation_;
  std::shared_ptr<void> hold_;
  std::deque<ListedFile> waiting_;
  std::set<std::string> running_;
  Bytes bytes_total_ = 0;
  Bytes bytes_present_ = 0;
  Bytes bytes_fetched_ = 0;
  size_t files_total_ = 0;
  size_t files_done_ = 0;
  int rounds_ = 0;
  RateMeter rate_;
};

}  // namespace weighhouse::fill
