#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/engine/acquisition.h"

namespace weighhouse {

/// Lets fills go on by themselves, as prefetches, that the end of the last process interrupted, or
/// whose snapshots lost a file that proved bad: those of public models whose reference is known.
/// (Others wait for a publish, which brings its credentials: none are on the disk. What is kept is
/// the Keeper's.) A model whose source is away is tried again, with growing pauses. A source is
/// asked once for each fill of a model: what is found lacking while the model waits or fills is
/// seen to when that fill ends. Servers take turns, because whose models these are isn't known any
/// more, and one that is slow, which any pod may have named, must not hold up the others'.
/// Thread-safe; held by shared_ptr, because its jobs keep it.
class FillResumer final : public std::enable_shared_from_this<FillResumer> {
 public:
  /// `transport`: for its timer. `askers`: for asking sources. Both outlive it.
  FillResumer(const EngineParts& parts, source::Transport& transport, FairPool& askers)
      : parts_(parts), transport_(transport), askers_(askers) {}

  /// Takes stock of what is incomplete now; the rest happens on the askers.
  void Start() EXCLUDES(mutex_);
  /// Of these only.
  void Start(const std::vector<std::string>& snapshot_ids) EXCLUDES(mutex_);

 private:
  struct Model {
    std::string snapshot_id;
    std::string server;  ///< where it is asked for
    ModelReference reference;
    bool warned = false;
  };
  class Log;

  void Add(const store::Snapshot& snapshot) EXCLUDES(mutex_);
  void Post(Model model);
  void Try(Model model) EXCLUDES(mutex_);
  /// Begins the fill, if the source still lists at that revision what the snapshot does. False: it
  /// is no longer needed.
  Result<bool> Begin(const Model& model) EXCLUDES(mutex_);
  /// Has those whose source was away wait again, after a pause.
  void RetryLater() EXCLUDES(mutex_);
  void Retry() EXCLUDES(mutex_);
  /// The model's fill ended, or isn't begun; true if it is looked at again, because it was found to
  /// lack something meanwhile.
  bool Ended(const std::string& snapshot_id) EXCLUDES(mutex_);

  const EngineParts parts_;
  source::Transport& transport_;
  FairPool& askers_;
  Mutex mutex_;
  std::vector<Model> away_ GUARDED_BY(mutex_);      // their sources, when they were asked last
  std::set<std::string> known_ GUARDED_BY(mutex_);  // those that wait, are away, or fill
  std::set<std::string> again_ GUARDED_BY(mutex_);  // of those, the ones to look at after the fill
  // Shared: the filler's observers are weak.
  std::map<std::string, std::shared_ptr<Log>> logs_ GUARDED_BY(mutex_);
  bool retrying_ GUARDED_BY(mutex_) = false;  // a timer runs
  std::chrono::seconds pause_ GUARDED_BY(mutex_){1};
};

}  // namespace weighhouse
