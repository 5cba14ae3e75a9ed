#include "cache-daemon/engine/acquisition.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "cache-daemon/engine/references.h"

namespace weighhouse {

std::string RequestFingerprint(const AcquireRequest& request) {
  return Digest::Of(fmt::format("{} {}", request.model.Fingerprint(), LayoutName(request.layout)))
      .Hex();
}

namespace {

/// Of a publish only: a pull is none, and neither is the replay of a mounted volume.
PublishBoard::Writer BeginPublish(const EngineParts& parts, const AcquireRequest& request,
                                  PublishWait::Time since) {
  if (request.lease_id.empty() || request.mounted) return {};
  auto waited =
      std::chrono::duration_cast<std::chrono::system_clock::duration>(parts.clock.Steady() - since);
  return parts.board.Begin({.lease_id = request.lease_id,
                            .holder = request.holder,
                            .model = request.model.ToString(),
                            .since = parts.clock.Now() - waited});
}

}  // namespace

Acquisition::Acquisition(const EngineParts& parts, AcquireRequest request,
                         std::weak_ptr<AcquireObserver> observer, Finished finished)
    : parts_(parts),
      request_(std::move(request)),
      asked_(request_.model.AtCommit()),
      observer_(std::move(observer)),
      finished_(std::move(finished)),
      intent_(parts.leases.Announce(request_.lease_id)),
      wait_(parts.waits.Enter(request_.lease_id, parts.clock.Steady())),
      publish_(BeginPublish(parts, request_, wait_->since())) {}

void Acquisition::Start() {
  parts_.workers.Post([self = shared_from_this()] {
    if (std::shared_ptr<AcquireObserver> observer = self->observer_.lock()) observer->OnResolving();
    self->Run(&Acquisition::Begin);
  });
}

void Acquisition::Run(Step (Acquisition::*step)()) {
  // Its caller left while it waited for its turn: the next call does it again.
  if (observer_.expired()) return finished_(shared_from_this());
  Go((this->*step)());
}

void Acquisition::Go(Step outcome) {
  if (!outcome) return Finish(std::unexpected(std::move(outcome).error()));
  if (*outcome) Finish(std::move(**outcome));
}

Acquisition::Step Acquisition::Begin() {
  std::optional<AcquiredTree> held = TRY(FromOwnLease());
  if (held) return held;
  if (request_.mounted) {
    return Fail(Code::kNotFound, "no lease of the volume has this model complete");
  }
  TRY(CheckRules());
  // What nobody need be asked for waits for nobody.
  std::optional<Resolved> unasked = TRY(ResolveUnasked(parts_, asked_, caller()));
  if (unasked) return GoOn(*std::move(unasked));
  parts_.resolvers.Post(request_.holder.pod_namespace,
                        [self = shared_from_this()] { self->Run(&Acquisition::Resolve); });
  return std::nullopt;
}

Acquisition::Step Acquisition::Resolve() {
  TRY(CheckRules());  // they may have changed while it waited
  Resolved resolved = TRY(ResolveModel(parts_, asked_, caller()));
  return GoOn(std::move(resolved));
}

Result<> Acquisition::CheckRules() const {
  if (request_.lease_id.empty()) return {};
  return parts_.sources.CheckFor(asked_, request_.credentials,
                                 {.pod_namespace = request_.holder.pod_namespace});
}

Acquisition::Step Acquisition::GoOn(Resolved resolved) {
  resolved_ = true;
  origin_ = resolved.listing.origin;
  if (request_.layout == Layout::kHub && resolved.listing.repository.empty()) {
    return Fail(Code::kInvalidArgument, "layout hub needs a Hugging Face model: use layout files");
  }
  revision_ = resolved.listing.revision;
  served_from_ = resolved.served_from;
  if (resolved.listing.packed.empty()) return Hold(std::move(resolved));
  ReadLayers(std::move(resolved));
  return std::nullopt;
}

void Acquisition::ReadLayers(Resolved resolved) {
  if (!request_.lease_id.empty()) {
    // Its room is what the layers' files take, until their snapshot is known.
    parts_.store.ArriveForHold(request_.holder.volume_id, resolved.listing.SnapshotId());
  }
  std::shared_ptr<source::Source> source = resolved.source;
  auto done = [weak = weak_from_this(), source](const Result<fill::LayersRead>& read) {
    std::shared_ptr<Acquisition> self = weak.lock();
    if (!self) return;  // its caller left: the next call finds what was read
    LogScope scope(self->log_);
    self->parts_.workers.Post([self, source, read] {
      if (!read) return self->Finish(std::unexpected(read.error()));
      self->bytes_fetched_ = read->bytes_fetched;
      self->Go(self->Hold({.listing = read->listing, .source = source}));
    });
  };
  parts_.filler.ReadLayers(LayersOf(parts_, asked_, request_.credentials, std::move(resolved),
                                    fill::FillPriority::kWaitedFor),
                           weak_from_this(), std::move(done));
}

Acquisition::Step Acquisition::Hold(Resolved resolved) {
  store::Snapshot snapshot = TRY(parts_.store.BeginSnapshot(resolved.listing));
  snapshot_id_ = snapshot.id;
  // Where the tree is made already, one lease on it will do. Else it holds the snapshot until then.
  std::optional<std::string> tree =
      parts_.store.FindTree(snapshot.id, request_.layout, request_.model.RevisionOrDefault());
  Result<> leased = TakeLease(snapshot.id, tree.value_or(""));
  if (!leased && leased.error().code == Code::kNotFound) {
    return Fail(Code::kAborted, "the model was evicted just now: try again");
  }
  TRY(std::move(leased));
  if (!request_.lease_id.empty()) {
    parts_.store.ArriveForHold(request_.holder.volume_id, snapshot.id);
  }
  TRY(RecordMeaning(parts_.store, *resolved.source, asked_, request_.credentials, snapshot.id));
  if (snapshot.complete) {
    Found(metrics::Lookup::kHit);
    if (tree) return TreeOf(snapshot, *std::move(tree));
    AcquiredTree made = TRY(ReadyTree(snapshot));
    return std::optional(std::move(made));
  }
  fill::FillRequest fill{.snapshot_id = snapshot.id,
                         .reference = asked_,
                         .listing = std::move(resolved.listing),
                         .credentials = request_.credentials,
                         .source = std::move(resolved.source),
                         .priority = fill::FillPriority::kWaitedFor,
                         .fetched_before = bytes_fetched_};
  parts_.filler.Fill(std::move(fill), weak_from_this());
  return std::nullopt;
}

/// The same publish again (kubelet replays them): ready without asking anybody, as long as this
/// boot's lease stands.
Result<std::optional<AcquiredTree>> Acquisition::FromOwnLease() {
  if (request_.lease_id.empty()) return std::nullopt;
  std::optional<store::LeaseRecord> lease = parts_.store.FindLease(request_.lease_id);
  if (!lease || lease->request_fingerprint.empty()) return std::nullopt;
  if (lease->request_fingerprint != RequestFingerprint(request_)) {
    return Fail(
        Code::kAlreadyExists,
        fmt::format("volume {} is published there with another model or layout: unpublish it first",
                    lease->volume_id));
  }
  if (lease->boot_id != parts_.store.boot_id()) return std::nullopt;
  std::optional<store::Snapshot> snapshot = parts_.store.FindSnapshot(lease->snapshot_id);
  if (!snapshot) return std::nullopt;
  served_from_ = AcquiredTree::ServedFrom::kLease;
  // A pod that reads its tree keeps it, also if it was withdrawn since: giving the lease another
  // would remove it under the pod. One that doesn't yet gets no withdrawn one.
  Result<std::string> of_tree = parts_.store.SnapshotOfTree(lease->tree);
  bool has_tree = request_.mounted && of_tree && *of_tree == lease->snapshot_id;
  if (!has_tree && !snapshot->complete) return std::nullopt;
  Found(metrics::Lookup::kReplay);
  if (has_tree) return TreeOf(*snapshot, lease->tree);
  AcquiredTree tree = TRY(ReadyTree(*snapshot));
  return std::optional(std::move(tree));
}

Result<> Acquisition::TakeLease(const std::string& snapshot_id, const std::string& tree) {
  if (request_.lease_id.empty()) return {};
  const Holder& holder = request_.holder;
  return parts_.leases.Take(*intent_, {.id = request_.lease_id,
                                       .snapshot_id = snapshot_id,
                                       .tree = tree,
                                       .volume_id = holder.volume_id,
                                       .target_path = holder.target_path,
                                       .pod_namespace = holder.pod_namespace,
                                       .pod_name = holder.pod_name,
                                       .pod_uid = holder.pod_uid,
                                       .request_fingerprint = RequestFingerprint(request_),
                                       .boot_id = parts_.store.boot_id(),
                                       .taken = parts_.clock.Now()});
}

Result<AcquiredTree> Acquisition::ReadyTree(const store::Snapshot& snapshot) {
  Result<std::string> tree =
      parts_.store.EnsureTree(snapshot.id, request_.layout, request_.model.RevisionOrDefault());
  if (!tree && tree.error().code == Code::kFailedPrecondition && !IsComplete(snapshot.id)) {
    return Fail(Code::kAborted, "a file of the model proved bad as it became ready: try again");
  }
  if (!tree) return std::unexpected(std::move(tree).error());
  // From here it holds no other: one that was withdrawn can go when those who have it are gone.
  TRY(TakeLease(snapshot.id, *tree));
  return TreeOf(snapshot, *std::move(tree));
}

bool Acquisition::IsComplete(const std::string& snapshot_id) const {
  std::optional<store::Snapshot> snapshot = parts_.store.FindSnapshot(snapshot_id);
  return snapshot && snapshot->complete;
}

AcquiredTree Acquisition::TreeOf(const store::Snapshot& snapshot, std::string tree) {
  parts_.store.Touch(snapshot.id);
  return AcquiredTree{.snapshot_id = snapshot.id,
                      .revision = snapshot.revision,
                      .tree = std::move(tree),
                      .bytes = snapshot.TotalBytes(),
                      .bytes_fetched = bytes_fetched_,
                      .files = snapshot.files.size(),
                      .served_from = served_from_};
}

void Acquisition::Found(metrics::Lookup lookup) {
  if (wait_->Find(lookup)) parts_.metrics.OnFound(lookup);
}

void Acquisition::OnFillEntered(fill::FillEntry entry) {
  Found(entry == fill::FillEntry::kBegan ? metrics::Lookup::kMiss : metrics::Lookup::kJoined);
}

void Acquisition::OnFillProgress(const fill::FillProgress& progress) {
  // Not when it entered: the fill asks for its room after that.
  bool has_room = progress.files_total > 0;
  if (has_room && !std::exchange(has_room_, true)) {
    parts_.waits.Say(request_.lease_id, *wait_, PublishWaits::Room::kFound, parts_.clock.Steady());
  }
  publish_.Write(PublishView::Filling{snapshot_id_, revision_, progress});
  std::shared_ptr<AcquireObserver> observer = observer_.lock();
  // A caller that left comes back and joins the fill again; its lease stays.
  if (!observer) return finished_(shared_from_this());
  observer->OnFilling(snapshot_id_, revision_, progress);
}

void Acquisition::OnFillDone(const Result<fill::FillProgress>& outcome) {
  LogScope scope(log_);
  parts_.workers.Post([self = shared_from_this(), outcome] {
    if (!outcome) return self->Finish(std::unexpected(outcome.error()));
    self->bytes_fetched_ = outcome->bytes_fetched;
    std::optional<store::Snapshot> snapshot = self->parts_.store.FindSnapshot(self->snapshot_id_);
    if (!snapshot || !snapshot->complete) {
      return self->Finish(Fail(Code::kAborted,
                               "the model was evicted, or a file of it proved bad, as it became "
                               "ready: try again"));
    }
    self->Finish(self->ReadyTree(*snapshot));
  });
}

void Acquisition::Finish(Result<AcquiredTree> outcome) {
  // In mid-fill, that is: what the source said before, it has taken back.
  bool refused = resolved_ && !outcome && Rights::IsRefusal(outcome.error().code);
  if (refused) parts_.rights.Refused(origin_, asked_, caller());
  // A caller does not come back after a final error: nothing of it may stay. (Of a volume published
  // with other arguments, the lease is not ours to drop.)
  bool final = !outcome && !IsTemporary(outcome.error().code);
  bool may_hold = !request_.lease_id.empty() && !request_.mounted;
  if (final && may_hold && outcome.error().code != Code::kAlreadyExists) {
    Result<> released = parts_.leases.Undo(*intent_);
    if (!released)
      LogRepeated(LogLevel::kError, fmt::format("lease of {}: {}", request_.holder.target_path,
                                                released.error().message));
  }
  std::string model = request_.model.ToString();
  if (!outcome && !outcome.error().message.starts_with(model)) {
    outcome = std::unexpected(std::move(outcome).error().Within(model));
  }
  // The lease is durable by now: it keeps what the hold did.
  if (outcome && !request_.lease_id.empty()) {
    Result<> dropped = parts_.store.DropHold(request_.holder.volume_id);
    if (!dropped)
      LogRepeated(LogLevel::kWarning,
                  fmt::format("a hold stays until its end: {}", dropped.error().message));
  }
  Count(outcome);
  std::shared_ptr<Acquisition> keep = shared_from_this();
  if (std::shared_ptr<AcquireObserver> observer = observer_.lock()) observer->OnDone(outcome);
  // The lease may have been the last on a withdrawn tree. Nobody need wait for its removal.
  parts_.store.TidyQuarantine();
  finished_(keep);
}

void Acquisition::Count(const Result<AcquiredTree>& outcome) {
  CountWait(outcome);
  // By the store: a source knows nothing of room here.
  bool refused = resolved_ && !outcome &&
                 (outcome.error().code == Code::kResourceExhausted ||
                  outcome.error().code == Code::kOutOfRange);
  // A source that is away, say, gives no room to a publish that was refused before.
  if (!refused && !outcome && IsTemporary(outcome.error().code)) return;
  parts_.waits.Say(request_.lease_id, *wait_,
                   refused ? PublishWaits::Room::kRefused : PublishWaits::Room::kFound,
                   parts_.clock.Steady());
}

void Acquisition::CountWait(const Result<AcquiredTree>& outcome) {
  if (!outcome) {
    parts_.metrics.OnFailed(outcome.error().code);
    publish_.Write(PublishView::Refused{outcome.error()});
    if (IsTemporary(outcome.error().code)) return;  // the publish comes back
  }
  std::optional<metrics::Lookup> found = wait_->End();
  if (!outcome || !found) return;
  auto took = parts_.clock.Steady() - wait_->since();
  parts_.metrics.OnReady(*found, took);
  bool cold = *found == metrics::Lookup::kMiss || *found == metrics::Lookup::kJoined;
  publish_.Write(
      PublishView::Ready{.took = std::chrono::duration_cast<std::chrono::milliseconds>(took),
                         .cold = cold,
                         .bytes = outcome->bytes});
}

}  // namespace weighhouse
