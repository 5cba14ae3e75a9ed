#include "cache-daemon/engine/keeper.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace weighhouse {

/// Brings the end of a fill, which may not be worked on where it is heard of.
class Keeper::Watch final : public fill::FillObserver {
 public:
  Watch(std::weak_ptr<Keeper> keeper, Attempt attempt, std::string snapshot_id)
      : keeper_(std::move(keeper)),
        attempt_(std::move(attempt)),
        snapshot_id_(std::move(snapshot_id)) {}
  void OnFillProgress(const fill::FillProgress&) override {}
  void OnFillDone(const Result<fill::FillProgress>& outcome) override {
    std::shared_ptr<Keeper> keeper = keeper_.lock();
    if (!keeper) return;
    Result<> ended;
    if (!outcome) ended = std::unexpected(outcome.error());
    keeper->parts_.workers.Post([keeper, attempt = attempt_, id = snapshot_id_, ended] {
      keeper->Ended(attempt, id, ended);
    });
  }

 private:
  const std::weak_ptr<Keeper> keeper_;
  const Attempt attempt_;
  const std::string snapshot_id_;
};

void Keeper::Keep(const std::vector<ModelReference>& models) {
  MutexLock lock(mutex_);
  std::map<std::string, Model> before = std::exchange(models_, {});
  order_.clear();
  due_.clear();
  for (const ModelReference& reference : models) {
    std::string fingerprint = reference.Fingerprint();
    auto known = before.find(fingerprint);
    Model& model = models_[fingerprint];
    if (known != before.end()) model = std::move(known->second);
    model.reference = reference;
    Recall(model);
    order_.push_back(fingerprint);
  }
  Publish();
  for (const std::string& fingerprint : order_) {
    Model& model = models_.at(fingerprint);
    model.pause = kFirstPause;
    bool filling = model.watch != nullptr;
    if (!model.settled && !filling) MakeDue(fingerprint);
  }
}

void Keeper::Repair(const std::vector<std::string>& snapshot_ids) {
  std::set<std::string> lost(snapshot_ids.begin(), snapshot_ids.end());
  MutexLock lock(mutex_);
  for (const std::string& fingerprint : order_) {
    const Model& model = models_.at(fingerprint);
    if (lost.contains(model.whole) || lost.contains(model.wanted)) MakeDue(fingerprint);
  }
}

std::vector<KeepView> Keeper::View() const {
  MutexLock lock(mutex_);
  std::vector<KeepView> views;
  for (const std::string& fingerprint : order_) {
    const Model& model = models_.at(fingerprint);
    views.push_back({.model = model.reference.ToString(),
                     .snapshot_id = parts_.store.IsWhole(model.whole) ? model.whole : "",
                     .problem = model.problem});
  }
  return views;
}

void Keeper::Recall(Model& model) {
  std::string meant = Meant(model.reference);
  if (meant.empty()) return;
  if (parts_.store.IsWhole(meant)) {
    model.whole = std::move(meant);
  } else if (model.whole.empty() && model.wanted.empty()) {
    model.wanted = std::move(meant);
  }
}

std::string Keeper::Meant(const ModelReference& reference) const {
  ModelReference unnamed = reference;
  unnamed.revision.clear();
  ModelReference named = unnamed;
  named.revision = unnamed.RevisionOrDefault();
  bool by_default = reference.revision.empty() || reference.revision == named.revision;
  Result<std::shared_ptr<source::Source>> source = parts_.sources.For(reference);
  if (!source) return "";
  std::optional<store::Snapshot> snapshot = LastSnapshotOf(parts_, **source, reference, {});
  if (!snapshot && by_default) snapshot = LastSnapshotOf(parts_, **source, unnamed, {});
  if (!snapshot && by_default) snapshot = LastSnapshotOf(parts_, **source, named, {});
  return snapshot ? snapshot->id : "";
}

void Keeper::Publish() {
  std::set<std::string> kept;
  for (const auto& [fingerprint, model] : models_) {
    if (!model.whole.empty()) kept.insert(model.whole);
    if (!model.wanted.empty() && !model.crowded) kept.insert(model.wanted);
  }
  parts_.store.SetKept(std::move(kept));
}

void Keeper::MakeDue(const std::string& fingerprint) {
  Model& model = models_.at(fingerprint);
  model.attempt = ++last_attempt_;
  model.settled = false;
  model.watch.reset();
  if (std::ranges::find(due_, fingerprint) == due_.end()) due_.push_back(fingerprint);
  if (running_) return;
  running_ = true;
  PostNext();
}

Keeper::Model* Keeper::Find(const Attempt& attempt) {
  auto found = models_.find(attempt.fingerprint);
  bool current = found != models_.end() && found->second.attempt == attempt.number;
  return current ? &found->second : nullptr;
}

void Keeper::PostNext() {
  asker_.Post([self = shared_from_this()] { self->Next(); });
}

void Keeper::Next() {
  Attempt attempt;
  {
    MutexLock lock(mutex_);
    running_ = !due_.empty();
    if (!running_) return;
    attempt.fingerprint = std::move(due_.front());
    due_.pop_front();
    Model& model = models_.at(attempt.fingerprint);
    attempt.number = model.attempt;
    attempt.reference = model.reference;
  }
  {
    LogScope scope(ContextOfRequest("", {{"model", attempt.reference.ToString()}}));
    attempt.meant = Meant(attempt.reference);
    Result<> begun = Begin(attempt);
    if (!begun) Failed(attempt, begun.error());
  }
  PostNext();
}

Result<> Keeper::Begin(const Attempt& attempt) {
  if (HoldsWhatNeverMoves(attempt)) return {};
  const ModelReference& reference = attempt.reference;
  std::shared_ptr<source::Source> source = TRY(parts_.sources.For(reference));
  Listing listing = TRY(SelectFiles(parts_, *source, reference, {}));
  if (!listing.packed.empty()) {
    return ReadLayers(attempt, {.listing = std::move(listing), .source = source});
  }
  std::shared_ptr<Watch> watch = Want(attempt, listing.SnapshotId());
  if (!watch) return {};
  store::Snapshot snapshot = TRY(parts_.store.BeginSnapshot(listing));
  if (snapshot.complete) return Settle(attempt, snapshot.id);
  // What it meant before is served, and kept after a restart, until this is complete.
  bool first = !LastSnapshotOf(parts_, *source, reference, {});
  if (first) TRY(Record(attempt, snapshot.id));
  parts_.filler.Fill({.snapshot_id = snapshot.id,
                      .reference = reference,
                      .listing = std::move(listing),
                      .source = std::move(source),
                      .priority = fill::FillPriority::kPrefetch},
                     watch);
  return {};
}

Result<> Keeper::ReadLayers(const Attempt& attempt, Resolved resolved) {
  // What it takes is kept from its first byte on.
  std::shared_ptr<Watch> watch = Want(attempt, resolved.listing.SnapshotId());
  if (!watch) return {};
  auto done = [weak = weak_from_this(), attempt](const Result<fill::LayersRead>& read) {
    std::shared_ptr<Keeper> keeper = weak.lock();
    if (!keeper) return;
    keeper->asker_.Post([keeper, attempt, read] {
      Result<> begun = read ? keeper->Begin(attempt) : std::unexpected(read.error());
      if (!begun) keeper->Failed(attempt, begun.error());
    });
  };
  parts_.filler.ReadLayers(
      LayersOf(parts_, attempt.reference, {}, std::move(resolved), fill::FillPriority::kPrefetch),
      {}, std::move(done));
  return {};
}

bool Keeper::HoldsWhatNeverMoves(const Attempt& attempt) {
  std::string commit;
  {
    MutexLock lock(mutex_);
    Model* model = Find(attempt);
    if (model == nullptr) return false;
    Recall(*model);
    Publish();
    if (attempt.reference.IsCommit(attempt.reference.revision)) commit = model->whole;
  }
  if (commit.empty() || !Secure(attempt, commit)) return false;
  MarkSettled(attempt, commit);
  return true;
}

std::shared_ptr<Keeper::Watch> Keeper::Want(const Attempt& attempt,
                                            const std::string& snapshot_id) {
  MutexLock lock(mutex_);
  Model* model = Find(attempt);
  if (model == nullptr) return nullptr;
  model->wanted = snapshot_id;
  model->problem.clear();
  Publish();
  auto watch = std::make_shared<Watch>(weak_from_this(), attempt, snapshot_id);
  model->watch = watch;
  return watch;
}

void Keeper::Ended(const Attempt& attempt, const std::string& snapshot_id, Result<> outcome) {
  if (outcome) outcome = Settle(attempt, snapshot_id);
  if (!outcome) Failed(attempt, outcome.error());
}

Result<> Keeper::Record(const Attempt& attempt, const std::string& snapshot_id) {
  return parts_.store.RecordReference({.fingerprint = attempt.fingerprint,
                                       .text = attempt.reference.ToString(),
                                       .snapshot_id = snapshot_id});
}

Result<> Keeper::Settle(const Attempt& attempt, const std::string& snapshot_id) {
  std::string meant = Meant(attempt.reference);
  if (!meant.empty() && meant != snapshot_id && meant != attempt.meant) {
    return Fail(Code::kAborted, "a pod brought another revision while it was fetched");
  }
  TRY(Secure(attempt, snapshot_id));
  TRY(Record(attempt, snapshot_id));
  MarkSettled(attempt, snapshot_id);
  return {};
}

Result<> Keeper::Secure(const Attempt& attempt, const std::string& snapshot_id) {
  MutexLock lock(mutex_);
  Model* model = Find(attempt);
  if (model == nullptr) return {};
  model->wanted = snapshot_id;
  model->crowded = false;
  Publish();
  // Where it was not kept before, somebody may have needed its space just now.
  if (!parts_.store.IsWhole(snapshot_id)) return Fail(Code::kAborted, "it was evicted just now");
  return {};
}

void Keeper::MarkSettled(const Attempt& attempt, const std::string& snapshot_id) {
  {
    MutexLock lock(mutex_);
    Model* model = Find(attempt);
    if (model == nullptr) return;
    model->whole = snapshot_id;
    model->wanted.clear();
    Publish();
    model->problem.clear();
    model->warned.reset();
    model->settled = true;
    model->pause = kFirstPause;
    model->watch.reset();
  }
  LogEvent(LogLevel::kInfo,
           fmt::format("keep: {}: complete, {}", attempt.reference.ToString(), snapshot_id));
}

void Keeper::Failed(const Attempt& attempt, const Error& error) {
  if (parts_.stop.stop_requested()) return;
  const std::string name = attempt.reference.ToString();
  std::string problem = error.message;
  if (problem.starts_with(name + ": ")) problem.erase(0, name.size() + 2);
  std::chrono::seconds pause;
  bool known = false;
  {
    MutexLock lock(mutex_);
    Model* model = Find(attempt);
    if (model == nullptr) return;
    model->problem = problem;
    model->watch.reset();
    pause = model->pause;
    model->pause = std::min(pause * 2, kLongestPause);
    known = std::exchange(model->warned, error.code) == error.code;
    model->crowded = error.code == Code::kResourceExhausted || error.code == Code::kOutOfRange;
    Publish();
  }
  if (!known)
    LogRepeated(LogLevel::kWarning, fmt::format("keep: {}: {}: trying again", name, problem));
  transport_.PostAfter(pause, [self = shared_from_this(), attempt] { self->TryAgain(attempt); });
}

void Keeper::TryAgain(const Attempt& attempt) {
  MutexLock lock(mutex_);
  if (Find(attempt) != nullptr) MakeDue(attempt.fingerprint);
}

}  // namespace weighhouse
