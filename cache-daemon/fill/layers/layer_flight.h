#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/fill/fill_context.h"
#include "cache-daemon/fill/layers/layer_askers.h"
#include "cache-daemon/fill/layers/layer_reading.h"
#include "cache-daemon/fill/rate_meter.h"

namespace weighhouse::fill {

/// The layers of one listing on their way, read one after another on one thread, for all who ask
/// for them: with the first one's credentials, and with the next one's where those are refused.
class LayerFlight {
 public:
  /// `id`: of the listing that `first` asks for.
  LayerFlight(std::shared_ptr<FillContext> context, std::string id, LayerAsker first);

  const std::string& id() const { return id_; }
  /// The digests of all layers that it may read.
  const std::set<std::string>& layers() const { return layers_; }
  /// Listing::origin of what it reads.
  const std::string& origin() const { return origin_; }
  /// As LayerAskers::Join. Any thread. What it brought is found in the store.
  bool Join(LayerAsker& asker) { return askers_.Join(asker); }
  /// Any thread.
  FillProgress progress() const EXCLUDES(mutex_);

  /// On its thread, once. `ended` is called when no layer is being read any more. Stopped, it says
  /// nothing to anybody.
  void Run(const std::function<void()>& ended) EXCLUDES(mutex_);

 private:
  using Asker = LayerAskers::Asker;
  struct Task {
    PackedLayer layer;
    std::optional<std::set<std::string>> wanted;  ///< LayerReading's
  };
  std::vector<Task> Plan(const LayerRequest& request) const;
  Result<> ReadAll(const LayerRequest& request);
  Result<> ReadOne(const LayerRequest& request, const Task& task, StagedWriter& writer);
  /// Begins the snapshot and commits to it what is staged of it.
  Result<LayersRead> Finish(const LayerRequest& request);
  Result<> Commit(const LayerRequest& request, const store::Snapshot& snapshot);
  void Report(Bytes more) EXCLUDES(mutex_);

  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  const std::string id_;
  const std::string origin_;
  std::set<std::string> layers_;
  LayerRoom room_;
  std::map<std::string, StagedEntry> staged_;  // by the file's version token
  RateMeter rate_;
  std::chrono::steady_clock::time_point reported_;
  LayerAskers askers_;

  mutable Mutex mutex_;
  FillProgress progress_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::fill
