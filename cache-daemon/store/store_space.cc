#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

// Each round evicts something, or meets another operation that changed the sums.
constexpr int kMaxRounds = 100;

/// A claim in the ledger; ends when destroyed.
class Claim {
 public:
  Claim(std::shared_ptr<StoreState> state, uint64_t number)
      : state_(std::move(state)), number_(number) {}
  ~Claim() {
    MutexLock lock(state_->mutex);
    state_->index.ledger.Release(number_);
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

 private:
  const std::shared_ptr<StoreState> state_;
  const uint64_t number_;
};

/// Marks a snapshot as filling; ends when destroyed.
class FillHold {
 public:
  FillHold(std::shared_ptr<StoreState> state, std::string snapshot_id)
      : state_(std::move(state)), snapshot_id_(std::move(snapshot_id)) {
    MutexLock lock(state_->mutex);
    ++state_->index.fill_holds[snapshot_id_];
  }
  ~FillHold() {
    MutexLock lock(state_->mutex);
    auto found = state_->index.fill_holds.find(snapshot_id_);
    if (--found->second == 0) state_->index.fill_holds.erase(found);
  }
  FillHold(const FillHold&) = delete;
  FillHold& operator=(const FillHold&) = delete;

 private:
  const std::shared_ptr<StoreState> state_;
  const std::string snapshot_id_;
};

/// Whose next promise the sums are for.
struct SumsFor {
  std::string except;  ///< a snapshot; or empty
  std::set<std::string> its_ingests;
  std::map<Digest, Bytes> to_be_held;
};

SpaceInputs InputsOf(StoreState& state, const SumsFor& sums_for, const io::Space& disk)
    REQUIRES(state.mutex);
SpaceInputs InputsOf(StoreState& state, const SumsFor& sums_for, const io::Space& disk) {
  SpaceInputs inputs = state.index.Sums(sums_for.except, sums_for.its_ingests, sums_for.to_be_held);
  inputs.limit = state.limits.limit;
  inputs.min_free = state.limits.min_free;
  inputs.free = disk.free;
  return inputs;
}

Bytes AllocatedBy(const std::vector<Candidate>& ingests) {
  Bytes sum = 0;
  for (const Candidate& ingest : ingests) sum += ingest.own;
  return sum;
}

}  // namespace

std::shared_ptr<void> StoreImpl::HoldForFill(const std::string& snapshot_id) {
  return std::make_shared<FillHold>(state_, snapshot_id);
}

void StoreImpl::SetKept(std::set<std::string> snapshot_ids) {
  MutexLock lock(state_->mutex);
  state_->index.kept = std::move(snapshot_ids);
}

std::set<std::string> StoreImpl::Kept() const {
  MutexLock lock(state_->mutex);
  return state_->index.kept;
}

Result<SpaceSums> StoreImpl::Space() const {
  io::Space disk = TRY(filesystem_.SpaceOf(layout_.root()));
  MutexLock lock(state_->mutex);
  return SumsOf(InputsOf(*state_, {}, disk), disk.total);
}

Usage StoreImpl::UsageOfSnapshots() const {
  MutexLock lock(state_->mutex);
  return state_->index.CountUsage();
}

Result<ListingFit> StoreImpl::FitOf(const Listing& listing) const {
  SnapshotRecord record = NewSnapshotRecord(listing);
  ListingFit fit;
  for (const ListedFile& file : listing.files) fit.bytes += file.size;
  io::Space disk = TRY(filesystem_.SpaceOf(layout_.root()));
  MutexLock lock(state_->mutex);
  Index& index = state_->index;
  bool known = index.catalog.Find(record.snapshot.id) != nullptr;
  if (known) record = index.RecordOf(record.snapshot.id);
  // As BeginSnapshot would.
  record.snapshot.anonymous = record.snapshot.anonymous || listing.anonymous;
  if (!record.snapshot.complete) index.GiveKnownBlobs(record);
  const Snapshot& snapshot = record.snapshot;
  for (const SnapshotFile& file : snapshot.files) fit.missing += file.blob ? 0 : file.listed.size;
  fit.cached = std::ranges::all_of(snapshot.files,
                                   [](const SnapshotFile& file) { return file.blob.has_value(); });
  Bytes need = index.HoldNeed(snapshot);
  SpaceInputs inputs = InputsOf(*state_,
                                {.except = snapshot.id,
                                 .its_ingests = Index::LackedIngests(snapshot),
                                 .to_be_held = ListedBlobs(snapshot)},
                                disk);
  fit.fits = need == 0 || CheckFits(inputs, disk.total, need).has_value();
  return fit;
}

Contents StoreImpl::Count() const {
  MutexLock lock(state_->mutex);
  Index& index = state_->index;
  Contents contents{.blobs = index.blobs.present_count(),
                    .leases = index.leases.size(),
                    .holds = index.holds.size(),
                    .volumes = index.volumes.size(),
                    .grants = index.grants.count(),
                    .quarantined_blobs = index.ledger.quarantined_count(),
                    .quarantined_bytes = index.ledger.quarantined()};
  // Not one by one: each burst of publishes asks, and waits for the lock.
  contents.snapshots_incomplete = index.catalog.incomplete().size();
  contents.snapshots_complete = index.catalog.entries().size() - contents.snapshots_incomplete;
  for (const std::string& id : index.kept) {
    if (index.catalog.Find(id) != nullptr) ++contents.snapshots_kept;
  }
  return contents;
}

Result<StoreImpl::Attempt> StoreImpl::TryMake(const Promise& promise) {
  uint64_t epoch = 0;
  {
    MutexLock lock(state_->mutex);
    epoch = state_->index.ledger.epoch();
  }
  io::Space disk = TRY(filesystem_.SpaceOf(layout_.root()));
  MutexLock lock(state_->mutex);
  Index& index = state_->index;
  Attempt attempt;
  // An ingest allocated or gave back in between: the disk's number and ours don't belong together.
  if (index.ledger.epoch() != epoch) return attempt;
  Bytes need = promise.need(index);
  SpaceInputs inputs =
      InputsOf(*state_, {.except = promise.for_snapshot, .its_ingests = promise.ingest_ids}, disk);
  Bytes shortfall = 0;
  // What needs nothing is no reason to evict or refuse, however full it is.
  if (need > 0) {
    TRY(CheckFits(inputs, disk.total, need));
    shortfall = Shortfall(inputs, need);
  }
  if (shortfall == 0) {
    TRY(promise.make(index));
    attempt.made = true;
    return attempt;
  }
  // Staged bytes go before what is whole.
  std::vector<Candidate> ingests = index.IngestCandidates(promise.for_snapshot, promise.ingest_ids);
  Bytes staged = AllocatedBy(ingests);
  attempt.ingests = *ChooseVictims(ingests, std::min(shortfall, staged));
  auto snapshots = ChooseVictims(index.Candidates(promise.for_snapshot),
                                 shortfall - std::min(shortfall, staged));
  if (!snapshots) {
    return Fail(
        Code::kResourceExhausted,
        fmt::format("need {}, but {} of what could be evicted is in use by another operation: try "
                    "again",
                    FormatBytes(need), FormatBytes(shortfall)));
  }
  attempt.snapshots = std::move(*snapshots);
  return attempt;
}

Result<> StoreImpl::Make(const Promise& promise) {
  for (int round = 0; round < kMaxRounds; ++round) {
    Result<Attempt> tried = TryMake(promise);
    bool full = tried ? !tried->snapshots.empty() : tried.error().code == Code::kResourceExhausted;
    // Bad bytes go before good ones: what they prove is in the log.
    if (full && SweepQuarantine(Sweep::kAll) > 0) continue;
    if (!tried) return std::unexpected(std::move(tried).error());
    if (tried->made) return {};
    for (const std::string& ingest : tried->ingests) {
      Bytes freed =
          TRY(GiveUpIngest(ingest, GiveUp::kForSpace, promise.for_snapshot, promise.ingest_ids));
      if (freed > 0) metrics_.OnIngestGivenUp(freed);
    }
    for (const std::string& victim : tried->snapshots) {
      // Where another operation was faster, the next round counts again.
      TRY(EvictChosen(metrics::EvictionReason::kSpace, victim));
    }
  }
  return Fail(Code::kAborted, "other operations kept changing what is free, try again");
}

Result<Reservation> StoreImpl::Reserve(Bytes bytes, const std::string& for_snapshot,
                                       const std::set<std::string>& ingest_ids) {
  Bytes need = 0;
  {
    MutexLock lock(state_->mutex);
    need = RoundUpToBlock(bytes + state_->index.PaddingOf(for_snapshot));
  }
  uint64_t claim = 0;
  Promise promise{.for_snapshot = for_snapshot,
                  .ingest_ids = ingest_ids,
                  .need = [need](const Index&) { return need; },
                  .make = [&](Index& index) -> Result<> {
                    claim = index.ledger.Promise(for_snapshot, need, ingest_ids);
                    return {};
                  }};
  TRY(Make(promise));
  return Reservation(std::make_shared<Claim>(state_, claim));
}

Result<std::optional<Bytes>> StoreImpl::EvictChosen(metrics::EvictionReason reason,
                                                    const std::string& snapshot_id) {
  Result<Bytes> evicted = EvictFor(reason, snapshot_id);
  if (evicted) return std::optional<Bytes>(*evicted);
  Code code = evicted.error().code;
  if (code == Code::kFailedPrecondition || code == Code::kNotFound) return std::nullopt;
  return std::unexpected(std::move(evicted).error());
}

Result<std::optional<StoreImpl::Excess>> StoreImpl::FindExcess(FitTo fit_to) {
  uint64_t epoch = 0;
  {
    MutexLock lock(state_->mutex);
    epoch = state_->index.ledger.epoch();
  }
  io::Space disk = TRY(filesystem_.SpaceOf(layout_.root()));
  MutexLock lock(state_->mutex);
  Index& index = state_->index;
  if (index.ledger.epoch() != epoch) return std::nullopt;
  std::optional<Excess> excess(std::in_place);
  SpaceInputs inputs = InputsOf(*state_, {}, disk);
  if (fit_to == FitTo::kLimit) inputs.free = std::numeric_limits<Bytes>::max();
  excess->bytes = Shortfall(inputs, 0);
  if (excess->bytes == 0) return excess;
  std::vector<Candidate> ingests = index.IngestCandidates("", {});
  Bytes staged = std::min(excess->bytes, AllocatedBy(ingests));
  excess->ingests = *ChooseVictims(ingests, staged);
  std::vector<Candidate> snapshots = index.Candidates("");
  excess->snapshots =
      *ChooseVictims(snapshots, std::min(excess->bytes - staged, FreeableBytes(snapshots)));
  return excess;
}

Result<EvictedToFit> StoreImpl::EvictToFit(FitTo fit_to) {
  EvictedToFit done;
  for (int round = 0; round < kMaxRounds; ++round) {
    std::optional<Excess> excess = TRY(FindExcess(fit_to));
    if (!excess) continue;
    if (excess->bytes > 0 && SweepQuarantine(Sweep::kAll) > 0) continue;
    Bytes freed = 0;
    bool raced = false;
    for (const std::string& ingest : excess->ingests) {
      Bytes bytes = TRY(GiveUpIngest(ingest, GiveUp::kForSpace));
      if (bytes > 0) metrics_.OnIngestGivenUp(bytes);
      freed += bytes;
      ++done.ingests;
    }
    for (const std::string& victim : excess->snapshots) {
      std::optional<Bytes> bytes = TRY(EvictChosen(metrics::EvictionReason::kLimit, victim));
      raced = raced || !bytes;
      freed += bytes.value_or(0);
      if (bytes) ++done.snapshots;
    }
    done.freed += freed;
    done.excess = excess->bytes - std::min(excess->bytes, freed);
    // One round is enough: disks give back what was removed a little later, and counting again
    // would evict for it a second time.
    if (!raced) return done;
  }
  return Fail(Code::kAborted, "other operations kept changing what is in use");
}

}  // namespace weighhouse::store
