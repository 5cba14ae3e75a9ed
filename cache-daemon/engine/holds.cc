#include "cache-daemon/engine/holds.h"

#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace weighhouse {
namespace {

std::string FingerprintOf(const HoldRequest& request) {
  std::string model = request.model ? request.model->Fingerprint() : "";
  return Digest::Of(fmt::format("{} {}", model, request.bytes)).Hex();
}

constexpr Bytes kMostBytes = Bytes{1} << 60;  // sums of it don't overflow

/// The caller may not see the model: whoever publishes the volume may, with the pod's secret.
bool NeedsOtherRights(Code code) {
  return code == Code::kPermissionDenied || code == Code::kUnauthenticated;
}

}  // namespace

Result<HeldRoom> Holds::Hold(const HoldRequest& request) {
  if (request.volume_id.empty() || (!request.model && request.bytes == 0)) {
    return Fail(Code::kInvalidArgument, "a hold needs a volume_id, and a model or bytes");
  }
  if (request.bytes > kMostBytes) {
    return Fail(Code::kOutOfRange,
                fmt::format("{} bytes are more than any disk has: ask for less", request.bytes));
  }
  store::HoldRecord wanted{.volume_id = request.volume_id,
                           .bytes = request.bytes,
                           .model = request.model ? request.model->ToString() : "",
                           .request_fingerprint = FingerprintOf(request),
                           .taken = parts_.clock.Now()};
  {
    MutexLock lock(mutex_);
    wanted.ends = wanted.taken + timeout_;
  }
  // The same again is answered without asking anybody, as it was at first.
  std::optional<store::HoldRecord> known = parts_.store.FindHold(request.volume_id);
  if (known) wanted.snapshot_id = known->snapshot_id;
  if (known || !request.model) return Take(wanted);
  return HoldModel(request, std::move(wanted));
}

Result<HeldRoom> Holds::HoldModel(const HoldRequest& request, store::HoldRecord wanted) {
  const ModelReference& model = *request.model;
  Result<Resolved> resolved = ResolveModel(parts_, model, request.credentials);
  if (!resolved) {
    Code code = resolved.error().code;
    bool may_be_known = NeedsOtherRights(code) || code == Code::kUnavailable;
    std::optional<store::Snapshot> known = may_be_known ? KnownSnapshot(model) : std::nullopt;
    if (known) wanted.snapshot_id = known->id;
    if (known || (NeedsOtherRights(code) && request.bytes > 0)) return Take(wanted);
    return std::unexpected(std::move(resolved).error().Within(model.ToString()));
  }
  wanted.snapshot_id = resolved->listing.SnapshotId();
  bool is_new = !parts_.store.FindSnapshot(wanted.snapshot_id);
  std::shared_ptr<void> guard = parts_.store.HoldForFill(wanted.snapshot_id);
  store::Snapshot snapshot = TRY(parts_.store.BeginSnapshot(resolved->listing));
  Result<HeldRoom> held = Take(wanted);
  guard.reset();
  if (!held) {
    // A node that refuses keeps nothing of it; somebody else may use the snapshot by now.
    if (is_new) static_cast<void>(parts_.store.Evict(snapshot.id));
    return std::unexpected(std::move(held).error().Within(model.ToString()));
  }
  // What nobody fills means nothing yet: a start would fetch it, and pods would miss what they
  // have.
  if (!request.fill && !snapshot.complete) return held;
  TRY(parts_.store.RecordReference(
      {.fingerprint = model.Fingerprint(), .text = model.ToString(), .snapshot_id = snapshot.id}));
  if (snapshot.complete) return held;
  parts_.filler.Fill({.snapshot_id = snapshot.id,
                      .reference = model,
                      .listing = std::move(resolved->listing),
                      .credentials = request.credentials,
                      .source = std::move(resolved->source),
                      .priority = fill::FillPriority::kPrefetch},
                     {});
  return held;
}

std::optional<store::Snapshot> Holds::KnownSnapshot(const ModelReference& model) const {
  std::optional<store::ReferenceRecord> reference = parts_.store.FindReference(model.Fingerprint());
  if (!reference) return std::nullopt;
  return parts_.store.FindSnapshot(reference->snapshot_id);
}

Result<HeldRoom> Holds::Take(const store::HoldRecord& wanted) {
  HeldRoom held;
  store::HoldRecord taken = TRY(parts_.store.TakeHold(wanted));
  held.hold = std::move(taken);
  std::optional<store::Snapshot> snapshot = parts_.store.FindSnapshot(held.hold.snapshot_id);
  if (snapshot) held.revision = snapshot->revision;
  WakeAfter(held.hold.ends - parts_.clock.Now());
  return held;
}

void Holds::SetTimeout(std::chrono::seconds timeout) {
  MutexLock lock(mutex_);
  timeout_ = timeout;
}

void Holds::EndThoseDue() {
  std::optional<std::chrono::steady_clock::duration> next = parts_.store.DropEndedHolds();
  if (next) WakeAfter(*next);
}

void Holds::WakeAfter(std::chrono::steady_clock::duration time) {
  // Timers count whole milliseconds: it would wake just before the end.
  time += std::chrono::milliseconds(1);
  {
    auto when = parts_.clock.Steady() + time;
    MutexLock lock(mutex_);
    if (wakes_ && *wakes_ <= when) return;
    wakes_ = when;
  }
  run_after_(time, [weak = weak_from_this()] {
    std::shared_ptr<Holds> self = weak.lock();
    if (!self) return;
    {
      MutexLock lock(self->mutex_);
      self->wakes_.reset();
    }
    self->EndThoseDue();
  });
}

}  // namespace weighhouse
