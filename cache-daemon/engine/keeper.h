#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/engine/acquisition.h"

namespace weighhouse {

/// Keeps the models that the configuration lists: each is fetched as a prefetch, with nobody's
/// credentials, and its snapshot is never evicted. What a reference last meant is kept without
/// asking anybody; where its source says something else by now, the old snapshot is kept until the
/// new one is complete. What can't be had is tried again, with growing pauses; what there is no
/// room for is held by its fill only, or parts of several would leave no room to complete any. One
/// reference is resolved at a time; their fills run side by side.
///
/// Thread-safe; its mutex comes before the store's. Held by shared_ptr, because its jobs keep it.
class Keeper final : public std::enable_shared_from_this<Keeper> {
 public:
  /// `transport`: for its timer. `asker`: asks sources, one at a time; nobody else's, so that
  /// what an admin wants waits for no pod's. Both outlive it.
  Keeper(const EngineParts& parts, source::Transport& transport, WorkerPool& asker)
      : parts_(parts), transport_(transport), asker_(asker) {}

  /// The list from now on, in the order in which to fetch. What is no longer on it is let go, and
  /// what it has known is held before this returns. Models that can't be had are tried at once.
  void Keep(const std::vector<ModelReference>& models) EXCLUDES(mutex_);
  /// These snapshots have lost a file that proved bad: those that are kept are fetched again.
  void Repair(const std::vector<std::string>& snapshot_ids) EXCLUDES(mutex_);
  /// In the order of the list.
  std::vector<KeepView> View() const EXCLUDES(mutex_);

 private:
  static constexpr std::chrono::seconds kFirstPause{1};
  static constexpr std::chrono::seconds kLongestPause{300};

  struct Model {
    ModelReference reference;
    std::string whole;   ///< the complete snapshot that it meant last; empty: none yet
    std::string wanted;  ///< the one that it means, until that is complete
    std::string problem;
    std::optional<Code> warned;  ///< of what was logged last, since it was settled
    bool crowded = false;        ///< there was no room for it: what is wanted isn't kept
    bool settled = false;        ///< it has what its source listed
    std::chrono::seconds pause = kFirstPause;
    /// Of asking and filling: what belongs to an earlier one counts no more.
    uint64_t attempt = 0;
    std::shared_ptr<fill::FillObserver>
        watch;  ///< while it is filled; shared: the filler's is weak
  };
  /// One attempt for one model.
  struct Attempt {
    std::string fingerprint;
    uint64_t number = 0;
    ModelReference reference;
    std::string meant;  ///< the snapshot that it meant before; empty: none
  };
  class Watch;

  /// Finds what the reference last meant, which a pod may have brought since.
  void Recall(Model& model) REQUIRES(mutex_);
  /// The snapshot that it last meant, its default revision named or left out; empty: none.
  std::string Meant(const ModelReference& reference) const;
  /// Tells the store what is kept.
  void Publish() REQUIRES(mutex_);
  void MakeDue(const std::string& fingerprint) REQUIRES(mutex_);
  /// The model of that attempt, unless it is past.
  Model* Find(const Attempt& attempt) REQUIRES(mutex_);

  void PostNext();
  void Next() EXCLUDES(mutex_);
  /// Has layers read that tell which files the model has, and begins again then.
  Result<> ReadLayers(const Attempt& attempt, Resolved resolved);
  Result<> Begin(const Attempt& attempt) EXCLUDES(mutex_);
  /// Settles a model of a commit that is complete here: there is nothing to ask.
  bool HoldsWhatNeverMoves(const Attempt& attempt) EXCLUDES(mutex_);
  /// From here the snapshot is kept, though it may not be known yet. Null if the attempt is past.
  std::shared_ptr<Watch> Want(const Attempt& attempt, const std::string& snapshot_id)
      EXCLUDES(mutex_);
  void Ended(const Attempt& attempt, const std::string& snapshot_id, Result<> outcome)
      EXCLUDES(mutex_);
  Result<> Record(const Attempt& attempt, const std::string& snapshot_id);
  Result<> Settle(const Attempt& attempt, const std::string& snapshot_id) EXCLUDES(mutex_);
  /// From here the snapshot is kept; kAborted if it was gone, or going, by then.
  Result<> Secure(const Attempt& attempt, const std::string& snapshot_id) EXCLUDES(mutex_);
  /// What it meant before is no longer kept. The snapshot is secure.
  void MarkSettled(const Attempt& attempt, const std::string& snapshot_id) EXCLUDES(mutex_);
  void Failed(const Attempt& attempt, const Error& error) EXCLUDES(mutex_);
  void TryAgain(const Attempt& attempt) EXCLUDES(mutex_);

  const EngineParts parts_;
  source::Transport& transport_;
  WorkerPool& asker_;
  mutable Mutex mutex_;
  std::map<std::string, Model> models_ GUARDED_BY(mutex_);  // by fingerprint
  std::vector<std::string> order_ GUARDED_BY(mutex_);       // fingerprints, as listed
  std::deque<std::string> due_ GUARDED_BY(mutex_);          // fingerprints
  uint64_t last_attempt_ GUARDED_BY(mutex_) = 0;
  bool running_ GUARDED_BY(mutex_) = false;  // a job will come to what is due
};

}  // namespace weighhouse
