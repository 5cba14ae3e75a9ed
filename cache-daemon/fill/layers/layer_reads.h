#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/worker_pool.h"
#include "cache-daemon/fill/layers/layer_flight.h"

namespace weighhouse::fill {

/// Which layers are read when: a few listings' at once, and no layer of one origin for two of them
/// at the same time; who comes second finds in the store what the first left there. Thread-safe.
class LayerReads {
 public:
  /// Goes on with a fill that lacks no files of layers any more.
  using FillOn = std::function<void(FillRequest, std::weak_ptr<FillObserver>)>;
  /// All that `context` refers to outlives it.
  LayerReads(std::shared_ptr<FillContext> context, FillOn fill_on);
  /// After the context's stop was requested: waits for what is under way.
  ~LayerReads();
  LayerReads(const LayerReads&) = delete;
  LayerReads& operator=(const LayerReads&) = delete;

  /// As Filler::ReadLayers.
  void Read(LayerRequest request, std::weak_ptr<FillObserver> observer, LayersDone done)
      EXCLUDES(mutex_);
  /// As Filler::Fill: first has the layers read that the snapshot's files lie in, if it lacks any
  /// of them.
  void Fill(FillRequest request, std::weak_ptr<FillObserver> observer) EXCLUDES(mutex_);

  /// As Filler's.
  std::optional<FillProgress> ProgressOf(const std::string& snapshot_id) const EXCLUDES(mutex_);
  size_t FlightCount() const EXCLUDES(mutex_);

 private:
  using Flight = std::shared_ptr<LayerFlight>;  // shared with the job that runs it
  void Add(LayerAsker asker) EXCLUDES(mutex_);
  /// Whether its snapshot lacks files that lie in layers.
  bool LacksLayers(const FillRequest& request) const;
  /// Takes the flights whose turn it is out of those that wait.
  std::vector<Flight> TakeTurns() REQUIRES(mutex_);
  void Begin(const std::vector<Flight>& flights) EXCLUDES(mutex_);
  void Ended(const Flight& flight) EXCLUDES(mutex_);

  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  const FillOn fill_on_;
  mutable Mutex mutex_;
  std::deque<Flight> waiting_ GUARDED_BY(mutex_);
  std::vector<Flight> running_ GUARDED_BY(mutex_);
  WorkerPool threads_;  // last: its jobs use the others
};

}  // namespace weighhouse::fill
