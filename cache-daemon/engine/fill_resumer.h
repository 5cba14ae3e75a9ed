#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "cache-daemon/engine/acquisition.h"

namespace weighhouse {

/// Lets fills go on by themselves, as prefetches, that the end of the last process interrupted, or
/// whose snapshots lost a file that proved bad: those of public models whose reference is known.
/// (Others wait for a publish, which brings its credentials: none are on the disk; what is kept is
/// the Keeper's.) A model whose
/// source is away is tried again, with growing pauses. One model at a time, on the workers; held by
/// shared_ptr, because its jobs keep it.
class FillResumer final : public std::enable_shared_from_this<FillResumer> {
 public:
  /// `transport`: for its timer.
  FillResumer(const EngineParts& parts, source::Transport& transport)
      : parts_(parts), transport_(transport) {}

  /// Takes stock of what is incomplete now; the rest happens on the workers.
  void Start();
  /// Of these only.
  void Start(const std::vector<std::string>& snapshot_ids);

 private:
  struct Model {
    std::string snapshot_id;
    ModelReference reference;
    bool warned = false;
  };
  class Log;

  void Add(const store::Snapshot& snapshot);
  void PostNext();
  void Next();
  /// Begins the fill, if the source still lists at that revision what the snapshot does.
  Result<> Begin(const Model& model);

  const EngineParts parts_;
  source::Transport& transport_;
  std::deque<Model> waiting_;
  std::deque<Model> away_;  // their sources, when they were asked last
  std::chrono::seconds pause_{1};
  std::vector<std::shared_ptr<Log>> logs_;  // shared: the filler's observers are weak
};

}  // namespace weighhouse
