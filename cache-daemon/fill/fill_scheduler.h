#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/fill/snapshot_fill.h"

namespace weighhouse::fill {

/// Decides which files are fetched when: snapshots take turns, those that somebody waits for before
/// prefetches, at most `max_active_files` files at a time, of which prefetches get at most half;
/// files that two snapshots want are fetched once. Its methods run on the strand, but for
/// those that are marked. Held by shared_ptr, because timers and workers outlive the Filler.
class FillScheduler : public std::enable_shared_from_this<FillScheduler> {
 public:
  explicit FillScheduler(std::shared_ptr<FillContext> context);

  void Join(FillRequest request, std::weak_ptr<FillObserver> observer);
  /// Buffers came back: ranges that found none try again.
  void OnBuffersFreed();
  /// Ends all fills without a word to their observers.
  void Stop();

  /// Any thread.
  std::optional<FillProgress> ProgressOf(const std::string& snapshot_id) const EXCLUDES(mutex_);
  /// Any thread.
  size_t FillCount() const EXCLUDES(mutex_);
  /// Any thread: the hosts that the governor knows.
  std::vector<HostConnections> Hosts() const EXCLUDES(mutex_);

 private:
  using Flight = std::shared_ptr<SnapshotFill>;  // shared: a file keeps the flight that began it,
                                                 // for its space
  struct ActiveFile {
    std::shared_ptr<FileFill> fill;
    std::vector<Flight> flights;
  };
  struct Stock {
    store::Snapshot snapshot;
    store::Reservation reservation;
    std::shared_ptr<void> hold;
  };

  void TakeStock(const Flight& flight);
  Result<Stock> ReadStock(const FillRequest& request) const;
  void OnStock(const Flight& flight, Result<std::shared_ptr<Stock>> stock);
  void Schedule();
  /// Takes the flight whose turn it is to begin a file; null: none may begin one now.
  Flight TakeTurn();
  Flight TakeTurn(FillPriority priority);
  void JoinFlight(SnapshotFill& flight, const std::shared_ptr<const FillRequest>& request,
                  std::weak_ptr<FillObserver> observer);
  void Raise(SnapshotFill& flight, FillPriority priority);
  bool BeginNextFile(const Flight& flight);
  /// The ingest that `listing`'s file comes by: one that is under way, where its bytes may be used.
  std::string IngestFor(const Listing& listing, const ListedFile& file) const;
  Error WithSums(Error error, const SnapshotFill& flight) const;
  void OnFileDone(const std::string& ingest_id, const Result<>& outcome);
  void EndFlight(const Flight& flight, Result<> outcome);
  FillProgress Measure(SnapshotFill& flight) const;
  void AddFigures(const FileFill& file, SnapshotFill::Running& running) const;
  void Tick();
  void Publish();

  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  std::map<std::string, Flight> flights_;
  std::deque<Flight> turns_;  // flights with files to begin, in the order of their turns
  std::map<std::string, ActiveFile> files_;
  std::set<std::string> failed_;  // snapshots whose last flight failed
  bool ticking_ = false;
  bool prefaulted_ = false;
  int ticks_ = 0;

  mutable Mutex mutex_;
  std::map<std::string, FillProgress> published_ GUARDED_BY(mutex_);
  std::vector<HostConnections> hosts_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::fill
