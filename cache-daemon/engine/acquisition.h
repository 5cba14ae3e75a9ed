#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/log_context.h"
#include "cache-daemon/engine/resolution.h"

namespace weighhouse {

/// The digest of what an Acquire asks for: the same for the same model and layout.
std::string RequestFingerprint(const AcquireRequest& request);

/// One Acquire on its way: resolve → record → lease → fill → tree. Runs on the workers, on the
/// resolvers only where its source must be asked, and hears of the fill on its thread. Lives until
/// it is done, or until nobody listens any more; the fill goes on without it.
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
  /// Ends with what a step came to, if it is the end.
  void Go(Step outcome);
  Step Begin();
  Step Resolve();
  /// An admin's, of which models the pod's namespace may have.
  Result<> CheckRules() const;
  Step GoOn(Resolved resolved);
  /// Has the layers read that don't tell yet which files the model has; goes on in Hold.
  void ReadLayers(Resolved resolved);
  /// Takes the lease on what the model is now, and has it filled.
  Step Hold(Resolved resolved);
  Result<std::optional<AcquiredTree>> FromOwnLease();
  Result<AcquiredTree> ReadyTree(const store::Snapshot& snapshot);
  bool IsComplete(const std::string& snapshot_id) const;
  AcquiredTree TreeOf(const store::Snapshot& snapshot, std::string tree);
  /// `tree` empty: none is known yet, and the lease holds all that the snapshot has.
  Result<> TakeLease(const std::string& snapshot_id, const std::string& tree);
  void Found(metrics::Lookup lookup);
  Caller caller() const {
    return {.credentials = request_.credentials, .pod_namespace = request_.holder.pod_namespace};
  }
  void Count(const Result<AcquiredTree>& outcome);
  void CountWait(const Result<AcquiredTree>& outcome);
  void Finish(Result<AcquiredTree> outcome);

  const EngineParts parts_;
  const AcquireRequest request_;
  const ModelReference asked_;  // of its source
  const std::weak_ptr<AcquireObserver> observer_;
  const Finished finished_;
  const LogContext log_ = LogContext::Current();  // for what comes on the fill's thread
  const std::shared_ptr<LeaseIntent> intent_;     // shared with the gate while this is under way
  const std::shared_ptr<PublishWait> wait_;       // shared with the publish's other Acquires
  PublishBoard::Writer publish_;
  std::string snapshot_id_;
  std::string revision_;
  std::string origin_;
  bool resolved_ = false;  // what fails from then on isn't the source's answer
  bool has_room_ = false;  // its fill; of the fill's thread
  Bytes bytes_fetched_ = 0;
  AcquiredTree::ServedFrom served_from_ = AcquiredTree::ServedFrom::kSource;
};

}  // namespace weighhouse
