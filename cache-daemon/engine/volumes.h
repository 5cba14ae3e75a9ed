#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/engine/acquisition.h"
#include "cache-daemon/engine/holds.h"
#include "cache-daemon/engine/prefetches.h"
#include "cache-daemon/engine/source_answers.h"

namespace weighhouse {

/// The volumes that are promised to claims: Engine's CreateVolume, DeleteVolume, GetVolume and
/// FitOf. Both halves go by what `Known` says where no source is asked, and by what the store says
/// of room, so that a claim finds what the scheduler was told. Thread-safe.
class Volumes {
 public:
  /// All outlive it.
  Volumes(const EngineParts& parts, Holds& holds, SourceAnswers& answers, Prefetches& prefetches)
      : parts_(parts), holds_(holds), answers_(answers), prefetches_(prefetches) {}

  Result<store::VolumeRecord> Create(const VolumeRequest& request) EXCLUDES(mutex_);
  Result<> Delete(const std::string& volume_id) EXCLUDES(mutex_);
  Result<store::VolumeRecord> Get(const std::string& volume_id) const;
  Result<ModelFit> FitOf(const FitRequest& request);

 private:
  /// What a model means, as far as it was found out.
  struct Meaning {
    std::optional<Listing> listing;  ///< nothing: room for the bytes asked for is kept
    /// The caller may have it: its commit is told, and it is fetched.
    std::shared_ptr<source::Source> source;

    /// What its layers hold, and so what it takes, shows when they have been read.
    bool IsPacked() const { return listing && !listing->packed.empty(); }
  };
  class Turn;

  Result<store::VolumeRecord> CreateNew(const VolumeRequest& request);
  Result<Meaning> Find(const VolumeRequest& request);
  /// What this node knows, where the source doesn't say; nothing: it doesn't.
  std::optional<Meaning> Known(const ModelReference& model, const Credentials& credentials,
                               const std::string& held);
  Result<> CheckCached(const Meaning& meaning) const;
  /// Takes the volume's hold and records `record`, or leaves nothing; then begins what was
  /// promised.
  Result<> Promise(const VolumeRequest& request, const Meaning& meaning,
                   const store::VolumeRecord& record);
  Result<> PromiseBytes(const VolumeRequest& request, Bytes bytes,
                        const store::VolumeRecord& record);
  /// Promises as much as what is packed takes at least, and has it read.
  Result<> PromisePacked(const VolumeRequest& request, const Meaning& meaning,
                         const store::VolumeRecord& record);
  Result<> HoldAndRecord(const VolumeRequest& request, const store::Snapshot& snapshot,
                         const store::VolumeRecord& record);
  /// What comes after the record: has the references mean the snapshot, in their order, and its
  /// fill begun. What fails of it is logged, and the same request again does it: the promise
  /// stands.
  void Begin(const VolumeRequest& request, const store::Snapshot& snapshot, const Meaning& meaning,
             const std::vector<ModelReference>& references);
  /// Does of an earlier call's promise what a crash left undone after its record.
  void FinishPromise(const VolumeRequest& request, const store::VolumeRecord& record);
  /// Of another request, of which a crash left no record: nobody was promised anything.
  Result<> DropStrayHold(const VolumeRequest& request);
  Result<> Hold(const store::HoldRecord& wanted);
  /// Forgets a volume that can't be created.
  void Undo(const std::string& volume_id);
  /// Drops the record, if there is one, and then the hold.
  Result<> Forget(const std::string& volume_id);

  const EngineParts parts_;
  Holds& holds_;
  SourceAnswers& answers_;
  Prefetches& prefetches_;
  Mutex mutex_;
  std::set<std::string> busy_ GUARDED_BY(mutex_);  // volumes that are being created or deleted
};

}  // namespace weighhouse
