#include <algorithm>
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

}  // namespace

std::shared_ptr<void> StoreImpl::HoldForFill(const std::string& snapshot_id) {
  return std::make_shared<FillHold>(state_, snapshot_id);
}

Result<SpaceSums> StoreImpl::Space() const {
  io::Space disk = TRY(filesystem_.SpaceOf(layout_.root()));
  MutexLock lock(state_->mutex);
  SpaceInputs inputs = state_->index.Sums("");
  inputs.limit = limit_;
  inputs.min_free = min_free_;
  inputs.free = disk.free;
  return SpaceSums{.limit = limit_,
                   .used = inputs.used,
                   .held = inputs.held,
                   .reserved = inputs.reserved,
                   .unallocated = inputs.unallocated,
                   .evictable = inputs.evictable,
                   .available = Available(inputs),
                   .filesystem_total = disk.total,
                   .filesystem_free = disk.free,
                   .min_free = min_free_};
}

Result<StoreImpl::Attempt> StoreImpl::TryReserve(Bytes need, const std::string& for_snapshot) {
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
  SpaceInputs inputs = index.Sums(for_snapshot);
  inputs.limit = limit_;
  inputs.min_free = min_free_;
  inputs.free = disk.free;
  TRY(CheckFits(inputs, disk.total, need));
  Bytes shortfall = Shortfall(inputs, need);
  if (shortfall == 0) {
    uint64_t claim = index.ledger.Promise(for_snapshot, need);
    attempt.reservation = Reservation(std::make_shared<Claim>(state_, claim));
    return attempt;
  }
  // Staged bytes go before what is whole.
  std::vector<Candidate> ingests = index.IngestCandidates(for_snapshot);
  Bytes staged = 0;
  for (const Candidate& ingest : ingests) staged += ingest.own;
  attempt.ingests = *ChooseVictims(ingests, std::min(shortfall, staged));
  auto snapshots =
      ChooseVictims(index.Candidates(for_snapshot), shortfall - std::min(shortfall, staged));
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

Result<Reservation> StoreImpl::Reserve(Bytes bytes, const std::string& for_snapshot) {
  Bytes need = 0;
  {
    MutexLock lock(state_->mutex);
    need = RoundUpToBlock(bytes + state_->index.PaddingOf(for_snapshot));
  }
  for (int round = 0; round < kMaxRounds; ++round) {
    Attempt attempt = TRY(TryReserve(need, for_snapshot));
    if (attempt.reservation) return std::move(*attempt.reservation);
    for (const std::string& ingest : attempt.ingests) TRY(GiveUpIngest(ingest));
    for (const std::string& victim : attempt.snapshots) {
      auto evicted = Evict(victim);
      // Taken into use or gone since it was chosen: count again.
      bool raced = !evicted.has_value() && (evicted.error().code == Code::kFailedPrecondition ||
                                            evicted.error().code == Code::kNotFound);
      if (!evicted.has_value() && !raced) return std::unexpected(std::move(evicted).error());
    }
  }
  return Fail(Code::kAborted,
              fmt::format("need {}: other operations kept changing what is free, try "
                          "again",
                          FormatBytes(need)));
}

}  // namespace weighhouse::store
