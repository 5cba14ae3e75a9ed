#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/fill/fill_context.h"
#include "cache-daemon/fill/layers/layer_reading.h"
#include "cache-daemon/fill/rate_meter.h"

namespace weighhouse::fill {

/// One who wants layers read.
struct LayerAsker {
  /// With `packed` layers: which of them aren't known is read, whole. Without: of the snapshot that
  /// the listing is, the files of layers that it lacks.
  LayerRequest request;
  std::weak_ptr<FillObserver> observer;
  LayersDone done;
};

/// The layers of one listing on their way, read one after another on one thread, for all who ask
/// for them: with the first one's credentials, and with the next one's where those are refused.
class LayerFlight {
 public:
  LayerFlight(std::shared_ptr<FillContext> context, LayerAsker first);

  const std::string& id() const { return id_; }
  /// The digests of all layers that it may read.
  const std::set<std::string>& layers() const { return layers_; }
  /// Any thread. False if it has ended: its outcome is found in the store.
  bool Join(LayerAsker& asker) EXCLUDES(mutex_);
  /// Any thread.
  FillProgress progress() const EXCLUDES(mutex_);

  /// On its thread, once. `ended` is called when no layer is being read any more. Stopped, it says
  /// nothing to anybody.
  void Run(const std::function<void()>& ended) EXCLUDES(mutex_);

 private:
  using Asker = std::shared_ptr<const LayerAsker>;
  struct Task {
    PackedLayer layer;
    std::optional<std::set<std::string>> wanted;  ///< LayerReading's
  };
  Asker First() EXCLUDES(mutex_);
  /// Takes the first asker out, unless it is the only one; null then.
  Asker DropFirst() EXCLUDES(mutex_);
  std::vector<Asker> Close() EXCLUDES(mutex_);
  std::vector<Task> Plan(const LayerRequest& request) const;
  Result<> ReadAll(const LayerRequest& request);
  Result<> ReadOne(const LayerRequest& request, const Task& task, StagedWriter& writer);
  /// Begins the snapshot and commits to it what is staged of it.
  Result<LayersRead> Finish(const LayerRequest& request);
  Result<> Commit(const LayerRequest& request, const store::Snapshot& snapshot);
  void Report(Bytes more) EXCLUDES(mutex_);
  FillPriority priority() const EXCLUDES(mutex_);

  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  const std::string id_;
  const store::LayerOrigin origin_;
  std::set<std::string> layers_;
  LayerRoom room_;
  std::map<std::string, StagedEntry> staged_;  // by the file's version token
  RateMeter rate_;
  std::chrono::steady_clock::time_point reported_;

  mutable Mutex mutex_;
  std::deque<Asker> askers_ GUARDED_BY(mutex_);  // shared: its thread works with the first
  bool closed_ GUARDED_BY(mutex_) = false;
  FillProgress progress_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::fill
