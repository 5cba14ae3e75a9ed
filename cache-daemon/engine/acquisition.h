#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/worker_pool.h"
#include "cache-daemon/engine/engine.h"
#include "cache-daemon/engine/lease_gate.h"
#include "cache-daemon/engine/publish_waits.h"
#include "cache-daemon/source/source_registry.h"

namespace weighhouse {

/// The engine's parts that an acquisition works with. Each outlives it.
struct EngineParts {
  store::Store& store;
  source::SourceRegistry& sources;
  fill::Filler& filler;
  WorkerPool& workers;    ///< for what takes a moment
  WorkerPool& resolvers;  ///< for asking sources, which may take minutes
  LeaseGate& leases;
  PublishWaits& waits;
  const Clock& clock;
  const metrics::AcquireMetrics& metrics;
  std::stop_token stop;
};

/// What a reference means now, as far as this caller may know it.
struct Resolved {
  Listing listing;  ///< the selected files
  std::shared_ptr<source::Source> source;
  AcquiredTree::ServedFrom served_from = AcquiredTree::ServedFrom::kSource;
};

/// Asks the source, with the caller's own rights: that is the check of them. Without asking: a
/// commit of a public origin that is complete here; and, with the source away, the last snapshot of
/// a public origin. A private model whose source is away stays kUnavailable: presence is not
/// permission. Never kOutOfRange: that is the store's, of what is larger than the cache.
Result<Resolved> ResolveModel(const EngineParts& parts, const ModelReference& model,
                              const Credentials& credentials);

/// The answers of ResolveModel for which nobody need be asked: a commit of a public origin that is
/// complete here. Nothing: its source must be asked.
Result<std::optional<Resolved>> ResolveUnasked(const EngineParts& parts,
                                               const ModelReference& model);

/// The listing that a snapshot's record holds.
Listing ListingOf(const store::Snapshot& snapshot);

/// The digest of what an Acquire asks for: the same for the same model and layout.
std::string RequestFingerprint(const AcquireRequest& request);

/// One Acquire on its way: resolve → record → lease → fill → tree. Runs on the workers, and hears
/// of the fill on its thread. Lives until it is done, or until nobody listens any more; the fill
/// goes on without it.
class Acquisition final : public fill::FillObserver,
                          public std::enable_shared_from_this<Acquisition> {
 public:
  using Finished = std::function<void(const std::shared_ptr<Acquisition>&)>;
  Acquisition(const EngineParts& parts, AcquireRequest request,
              std::weak_ptr<AcquireObserver> observer, Finished finished);

  /// Posts the first step. `finished` is called once, when it needs to be kept no longer.
  void Start();
  /// The lease was released while this was under way: it must not take it any more.
  const std::shared_ptr<LeaseIntent>& intent() const { return intent_; }

  void OnFillEntered(fill::FillEntry entry) override;
  void OnFillProgress(const fill::FillProgress& progress) override;
  void OnFillDone(const Result<fill::FillProgress>& outcome) override;

 private:
  using Step = Result<std::optional<AcquiredTree>>;  // nothing: it goes on elsewhere

  void Run(Step (Acquisition::*step)());
  Step Begin();
  Step Resolve();
  Result<std::optional<AcquiredTree>> FromOwnLease();
  Result<AcquiredTree> ReadyTree(const store::Snapshot& snapshot);
  bool IsComplete(const std::string& snapshot_id) const;
  AcquiredTree TreeOf(const store::Snapshot& snapshot, std::string tree);
  /// `tree` empty: none is known yet, and the lease holds all that the snapshot has.
  Result<> TakeLease(const std::string& snapshot_id, const std::string& tree);
  void Found(metrics::Lookup lookup);
  void Count(const Result<AcquiredTree>& outcome);
  void CountWait(const Result<AcquiredTree>& outcome);
  void Finish(Result<AcquiredTree> outcome);

  const EngineParts parts_;
  const AcquireRequest request_;
  const ModelReference asked_;  // of its source
  const std::weak_ptr<AcquireObserver> observer_;
  const Finished finished_;
  const std::shared_ptr<LeaseIntent> intent_;  // shared with the gate while this is under way
  const std::shared_ptr<PublishWait> wait_;    // shared with the publish's other Acquires
  std::string snapshot_id_;
  std::string revision_;
  bool resolved_ = false;  // what fails from then on isn't the source's answer
  bool has_room_ = false;  // its fill; of the fill's thread
  Bytes bytes_fetched_ = 0;
  AcquiredTree::ServedFrom served_from_ = AcquiredTree::ServedFrom::kSource;
};

}  // namespace weighhouse
