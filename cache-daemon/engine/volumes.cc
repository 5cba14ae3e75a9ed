#include "cache-daemon/engine/volumes.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/engine/references.h"

namespace weighhouse {
namespace {

/// One that meets an eviction of its own model finds it gone the next time.
constexpr int kTries = 3;
constexpr Bytes kMostBytes = Bytes{1} << 60;  // sums of it don't overflow

/// No node is as large, or just not this one: the scheduler must try elsewhere.
Error NoRoomHere(Error error) {
  if (error.code == Code::kOutOfRange) error.code = Code::kResourceExhausted;
  return error;
}

bool LacksNothing(const store::Snapshot& snapshot) {
  return std::ranges::all_of(snapshot.files,
                             [](const store::SnapshotFile& file) { return file.blob.has_value(); });
}

/// As the publishes of the volume will ask, wherever its branch is then.
ModelReference AtCommit(const VolumeRequest& request, const store::VolumeRecord& record) {
  ModelReference pinned = request.model;
  pinned.commit = record.commit;
  return pinned.AtCommit();
}

std::unexpected<Error> NotCached() {
  return Fail(Code::kResourceExhausted,
              "it is not cached on this node, and cachedOnly was asked for");
}

}  // namespace

/// Whoever has it is the only one to create or delete that volume.
class Volumes::Turn {
 public:
  static Result<Turn> Take(Volumes& volumes, const std::string& volume_id) {
    MutexLock lock(volumes.mutex_);
    if (volumes.busy_.insert(volume_id).second) return Turn(volumes, volume_id);
    return Fail(Code::kAborted, fmt::format("volume {} is just being created or deleted, try again",
                                            Printable(volume_id)));
  }
  Turn(Turn&& other) noexcept
      : volumes_(std::exchange(other.volumes_, nullptr)), volume_id_(std::move(other.volume_id_)) {}
  Turn& operator=(Turn&&) = delete;
  ~Turn() {
    if (volumes_ == nullptr) return;
    MutexLock lock(volumes_->mutex_);
    volumes_->busy_.erase(volume_id_);
  }

 private:
  Turn(Volumes& volumes, std::string volume_id)
      : volumes_(&volumes), volume_id_(std::move(volume_id)) {}
  Volumes* volumes_;
  std::string volume_id_;
};

Result<store::VolumeRecord> Volumes::Create(const VolumeRequest& request) {
  Turn turn = TRY(Turn::Take(*this, request.volume_id));
  std::optional<store::VolumeRecord> known = parts_.store.FindVolume(request.volume_id);
  if (known && known->request_digest == request.request_digest) {
    FinishPromise(request, *known);
    return *known;
  }
  if (known) {
    return Fail(Code::kAlreadyExists,
                fmt::format("volume {} was created here with other parameters, of {}",
                            Printable(known->volume_id), known->model));
  }
  TRY(DropStrayHold(request));
  Result<store::VolumeRecord> created = CreateNew(request);
  if (created) return created;
  return std::unexpected(std::move(created).error().Within(request.model.ToString()));
}

Result<store::VolumeRecord> Volumes::CreateNew(const VolumeRequest& request) {
  Meaning meaning = TRY(Find(request));
  store::VolumeRecord record{.volume_id = request.volume_id,
                             .request_digest = request.request_digest,
                             .model = request.model.ToString(),
                             .capacity_bytes = request.required_bytes,
                             .created = parts_.clock.Now()};
  if (meaning.listing) {
    if (!meaning.IsPacked()) record.model_bytes = meaning.listing->TotalBytes();
    record.capacity_bytes = std::max(record.capacity_bytes, record.model_bytes);
    bool has_commit = request.model.IsCommit(meaning.listing->revision);
    if (meaning.source && has_commit) record.commit = meaning.listing->revision;
  }
  if (request.limit_bytes > 0 && record.model_bytes > request.limit_bytes) {
    return Fail(Code::kOutOfRange,
                fmt::format("it takes {}, and the claim's limit is {}: raise the limit, or ask for "
                            "fewer files",
                            FormatBytes(record.model_bytes), FormatBytes(request.limit_bytes)));
  }
  if (request.cached_only) TRY(CheckCached(meaning));
  Result<> promised = Fail(Code::kAborted, "");
  for (int tries = 0; tries < kTries && !promised; ++tries) {
    if (promised.error().code != Code::kAborted) break;
    if (tries > 0 && parts_.clock.Steady() >= request.deadline) break;
    promised = meaning.IsPacked() ? PromisePacked(request, meaning, record)
               : meaning.listing  ? Promise(request, meaning, record)
                                  : PromiseBytes(request, request.required_bytes, record);
  }
  if (promised) return record;
  return std::unexpected(NoRoomHere(std::move(promised).error()));
}

Result<Volumes::Meaning> Volumes::Find(const VolumeRequest& request) {
  const ModelReference& model = request.model;
  // What an admin forbids is final: no publish will have it either.
  TRY(parts_.sources.CheckFor(model, request.credentials,
                              {.pod_namespace = request.claim_namespace}));
  std::shared_ptr<source::Source> source = TRY(parts_.sources.For(model));
  std::optional<Resolved> unasked =
      TRY(ResolveUnasked(parts_, model, {.credentials = request.credentials}));
  if (unasked) return Meaning{.listing = std::move(unasked->listing), .source = std::move(source)};
  std::optional<Result<Resolved>> said = answers_.Ask(
      model, request.credentials, {.party = request.claim_namespace, .deadline = request.deadline});
  if (said && *said) {
    return Meaning{.listing = std::move((*said)->listing), .source = std::move((*said)->source)};
  }
  // A crash came between the hold and the record: its repetition means the same.
  std::optional<store::HoldRecord> hold = parts_.store.FindHold(request.volume_id);
  std::optional<Meaning> known =
      Known(model, request.credentials, hold ? hold->snapshot_id : std::string());
  // An error names files: only to those who may have them.
  if (known && known->source && known->listing && !known->IsPacked()) {
    known->listing = TRY(parts_.sources.Permitted(*known->listing));
  }
  if (!said) {
    // With rights that nobody has seen here, it is for the source to say which commit it is.
    if (known && known->source) return *std::move(known);
    return Fail(Code::kAborted, "its source has not answered yet, still asking: try again");
  }
  const Error& error = said->error();
  // Whoever publishes the volume may see the model, with the pod's secret.
  bool refused = error.rights_may_help;
  // With the source away: of a model that they may have. Else the volume would have no commit, for
  // good, where a moment later it has one.
  bool known_to_them = error.code == Code::kUnavailable && known && known->source;
  if (!refused && !known_to_them) return std::unexpected(error);
  if (refused)
    LogRepeated(LogLevel::kInfo, fmt::format("{}: {}: room is kept until its publish",
                                             model.ToString(), error.message));
  Meaning meaning = known ? *std::move(known) : Meaning();
  // What the branch means by now isn't known to anybody here, and is nobody's business.
  if (refused) meaning.source.reset();
  return meaning;
}

std::optional<Volumes::Meaning> Volumes::Known(const ModelReference& model,
                                               const Credentials& credentials,
                                               const std::string& held) {
  Result<std::shared_ptr<source::Source>> source = parts_.sources.For(model);
  if (!source) return std::nullopt;
  std::optional<store::Snapshot> snapshot =
      held.empty() ? LastSnapshotOf(parts_, **source, model, credentials)
                   : parts_.store.FindSnapshot(held);
  std::optional<SourceAnswers::Said> said = answers_.Last(model, credentials);
  // Else the reference came to mean another one since, which somebody else was told.
  bool newest =
      said && (!snapshot || said->meant == snapshot->id || said->snapshot_id == snapshot->id);
  if (newest) {
    return Meaning{.listing = *said->listing, .source = *std::move(source)};
  }
  if (!snapshot) return std::nullopt;
  Meaning meaning{.listing = ListingOf(*snapshot)};
  // A private one is only told of and fetched with rights that its source has seen.
  if (parts_.rights.MayHaveAfter(Code::kUnavailable, *snapshot, model,
                                 {.credentials = credentials})) {
    meaning.source = *std::move(source);
  }
  return meaning;
}

Result<> Volumes::CheckCached(const Meaning& meaning) const {
  if (!meaning.listing || meaning.IsPacked()) return NotCached();
  store::ListingFit fit = TRY(parts_.store.FitOf(*meaning.listing));
  if (!fit.cached) return NotCached();
  return {};
}

Result<> Volumes::PromisePacked(const VolumeRequest& request, const Meaning& meaning,
                                const store::VolumeRecord& record) {
  Bytes bytes = std::max(request.required_bytes, meaning.listing->TotalBytes());
  Bytes packed = 0;
  for (const PackedLayer& layer : meaning.listing->packed)
    packed += std::min(layer.size, kMostBytes);
  TRY(PromiseBytes(request, std::max(bytes, packed), record));
  if (!meaning.source) return {};
  store::Store& store = parts_.store;
  store.ArriveForHold(request.volume_id, meaning.listing->SnapshotId());
  // From then on the hold keeps the snapshot, and its publish finds it at the commit.
  auto known = [&store, volume_id = request.volume_id, source = meaning.source,
                credentials = request.credentials,
                pinned = AtCommit(request, record)](const std::string& snapshot_id) {
    store.ArriveForHold(volume_id, snapshot_id);
    Result<> named = RecordMeaning(store, *source, pinned, credentials, snapshot_id);
    if (!named)
      LogRepeated(LogLevel::kWarning,
                  fmt::format("volume {}: {}", Printable(volume_id), named.error().message));
  };
  Result<std::string> begun =
      prefetches_.Begin(request.model, request.credentials,
                        {.listing = *meaning.listing, .source = meaning.source}, std::move(known));
  if (!begun)
    LogRepeated(LogLevel::kWarning,
                fmt::format("volume {}: {}", Printable(request.volume_id), begun.error().message));
  return {};
}

Result<> Volumes::PromiseBytes(const VolumeRequest& request, Bytes bytes,
                               const store::VolumeRecord& record) {
  TRY(Hold({.volume_id = request.volume_id,
            .bytes = std::min(bytes, kMostBytes),
            .model = record.model,
            .request_fingerprint = request.request_digest}));
  Result<> recorded = parts_.store.RecordVolume(record);
  if (!recorded) Undo(request.volume_id);
  return recorded;
}

Result<> Volumes::Promise(const VolumeRequest& request, const Meaning& meaning,
                          const store::VolumeRecord& record) {
  std::string id = meaning.listing->SnapshotId();
  std::shared_ptr<void> guard = parts_.store.HoldForFill(id);
  store::Snapshot snapshot = TRY(parts_.store.BeginSnapshot(*meaning.listing));
  Result<> recorded = HoldAndRecord(request, snapshot, record);
  guard.reset();
  if (!recorded) {
    // A node that refuses keeps nothing of it. Of several that are refused the last one finds it
    // idle.
    parts_.store.DropBare(id);
    return recorded;
  }
  // What nobody fills means nothing yet: a start would fetch it, and pods would miss what they
  // have.
  if (meaning.source) Begin(request, snapshot, meaning, {AtCommit(request, record), request.model});
  return {};
}

void Volumes::Begin(const VolumeRequest& request, const store::Snapshot& snapshot,
                    const Meaning& meaning, const std::vector<ModelReference>& references) {
  for (const ModelReference& reference : references) {
    Result<> named =
        RecordMeaning(parts_.store, *meaning.source, reference, request.credentials, snapshot.id);
    if (named) continue;
    LogRepeated(LogLevel::kWarning,
                fmt::format("volume {}: {}", Printable(request.volume_id), named.error().message));
    break;
  }
  if (snapshot.complete) return;
  parts_.filler.Fill({.snapshot_id = snapshot.id,
                      .reference = request.model,
                      .listing = *meaning.listing,
                      .credentials = request.credentials,
                      .source = meaning.source,
                      .priority = fill::FillPriority::kPrefetch},
                     {});
}

void Volumes::FinishPromise(const VolumeRequest& request, const store::VolumeRecord& record) {
  std::optional<store::HoldRecord> hold = parts_.store.FindHold(record.volume_id);
  if (!hold || hold->snapshot_id.empty()) return;
  // Its caller was not seen to have the right to it: it is its publish's to fetch.
  if (request.model.HasCommits() && record.commit.empty()) return;
  std::optional<store::Snapshot> snapshot = parts_.store.FindSnapshot(hold->snapshot_id);
  Result<std::shared_ptr<source::Source>> source = parts_.sources.For(request.model);
  if (!snapshot || !source) return;
  Result<std::optional<Listing>> listing = WholeListingOf(parts_, *snapshot);
  if (!listing || !*listing) return;  // no publish will have it
  std::vector<ModelReference> references;
  // Not that of the branch, which may have come to mean a newer one since.
  ModelReference pinned = AtCommit(request, record);
  bool is_named = FindMeaning(parts_.store, **source, pinned, request.credentials).has_value();
  if (!is_named) references.push_back(std::move(pinned));
  // Whether these credentials still allow it, the fill finds out.
  Begin(request, *snapshot, {.listing = **std::move(listing), .source = *std::move(source)},
        references);
}

Result<> Volumes::DropStrayHold(const VolumeRequest& request) {
  std::optional<store::HoldRecord> hold = parts_.store.FindHold(request.volume_id);
  if (!hold || hold->request_fingerprint == request.request_digest) return {};
  return parts_.store.DropHold(request.volume_id);
}

// The hold first: a record promises what is held.
Result<> Volumes::HoldAndRecord(const VolumeRequest& request, const store::Snapshot& snapshot,
                                const store::VolumeRecord& record) {
  TRY(Hold({.volume_id = request.volume_id,
            .snapshot_id = snapshot.id,
            .bytes = request.required_bytes,
            .model = record.model,
            .request_fingerprint = request.request_digest}));
  Result<> recorded;
  std::optional<store::Snapshot> held = parts_.store.FindSnapshot(snapshot.id);
  if (request.cached_only && !(held && LacksNothing(*held))) {
    recorded = NotCached();  // it was evicted just before
  } else {
    recorded = parts_.store.RecordVolume(record);
  }
  if (!recorded) Undo(request.volume_id);
  return recorded;
}

Result<> Volumes::Hold(const store::HoldRecord& wanted) {
  store::HoldRecord taken = TRY(holds_.Take(wanted));
  if (taken.snapshot_id == wanted.snapshot_id) return {};
  // A crash left it without a record, and the model means something else by now.
  TRY(parts_.store.DropHold(wanted.volume_id));
  TRY(holds_.Take(wanted));
  return {};
}

void Volumes::Undo(const std::string& volume_id) {
  Result<> forgotten = Forget(volume_id);
  if (forgotten) return;
  LogRepeated(LogLevel::kWarning,
              fmt::format("volume {} was refused, and something of it stays: {}",
                          Printable(volume_id), forgotten.error().message));
}

Result<> Volumes::Delete(const std::string& volume_id) {
  Turn turn = TRY(Turn::Take(*this, volume_id));
  return Forget(volume_id);
}

// The record first: a hold that is left just ends in time; a record without one promises nothing.
Result<> Volumes::Forget(const std::string& volume_id) {
  TRY(parts_.store.ForgetVolume(volume_id));
  return parts_.store.DropHold(volume_id);
}

Result<store::VolumeRecord> Volumes::Get(const std::string& volume_id) const {
  std::optional<store::VolumeRecord> volume = parts_.store.FindVolume(volume_id);
  if (volume) return *std::move(volume);
  return Fail(Code::kNotFound, fmt::format("volume {} was not created on this node, or is "
                                           "remembered no more",
                                           Printable(volume_id)));
}

Result<ModelFit> Volumes::FitOf(const FitRequest& request) {
  // CreateVolume says why it refuses: a node that claims to be full would hide that.
  if (!parts_.sources.For(request.model)) return ModelFit();
  answers_.Refresh(request.model);
  std::optional<Meaning> known = Known(request.model, {}, "");
  // By its packed layers alone nobody can say what it takes.
  if (!known || known->IsPacked()) return ModelFit();
  store::ListingFit fit = TRY(parts_.store.FitOf(*known->listing));
  return ModelFit{.known = true,
                  .fits = fit.fits && (fit.cached || !request.cached_only),
                  .cached = fit.cached,
                  .bytes = fit.bytes,
                  .bytes_missing = fit.missing};
}

}  // namespace weighhouse
