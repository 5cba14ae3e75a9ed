#include "cache-daemon/fill/layers/layer_reads.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace weighhouse::fill {
namespace {

/// Each decompresses on its thread: more would take the cores from what pods compute.
constexpr size_t kThreads = 2;

/// Of one origin only: another one would wait for layers that it merely says it has, and its
/// records are others (all public ones' are the same, but that is no reason to wait for a
/// stranger).
bool HaveOneInCommon(const LayerFlight& one, const LayerFlight& other) {
  if (one.origin() != other.origin()) return false;
  return std::ranges::any_of(
      one.layers(), [&](const std::string& digest) { return other.layers().contains(digest); });
}

}  // namespace

LayerReads::LayerReads(std::shared_ptr<FillContext> context, FillOn fill_on)
    : context_(std::move(context)), fill_on_(std::move(fill_on)), threads_("unpack", kThreads) {}

LayerReads::~LayerReads() { threads_.Stop(); }

void LayerReads::Read(LayerRequest request, std::weak_ptr<FillObserver> observer, LayersDone done) {
  Add({.request = std::move(request), .observer = std::move(observer), .done = std::move(done)});
}

void LayerReads::Fill(FillRequest request, std::weak_ptr<FillObserver> observer) {
  if (!LacksLayers(request)) return fill_on_(std::move(request), std::move(observer));
  LayerRequest layers{.reference = request.reference,
                      .listing = request.listing,
                      .credentials = request.credentials,
                      .source = request.source,
                      .priority = request.priority,
                      .choose = [](const Listing& whole) -> Result<Listing> { return whole; }};
  auto done = [this, request = std::move(request), observer](const Result<LayersRead>& read) {
    FillRequest rest = request;
    if (read) rest.fetched_before += read->bytes_fetched;
    if (read) return fill_on_(std::move(rest), observer);
    std::shared_ptr<FillObserver> listening = observer.lock();
    if (listening) listening->OnFillDone(std::unexpected(read.error()));
  };
  Add({.request = std::move(layers), .observer = std::move(observer), .done = std::move(done)});
}

bool LayerReads::LacksLayers(const FillRequest& request) const {
  auto is_in_layer = [](const ListedFile& file) {
    return LayerPlace::Parse(file.identity.value).has_value();
  };
  if (std::ranges::none_of(request.listing.files, is_in_layer)) return false;
  std::optional<store::Snapshot> snapshot = context_->parts.store.FindSnapshot(request.snapshot_id);
  return snapshot && std::ranges::any_of(snapshot->files, [&](const store::SnapshotFile& file) {
           return !file.blob && is_in_layer(file.listed);
         });
}

void LayerReads::Add(LayerAsker asker) {
  std::weak_ptr<FillObserver> observer = asker.observer;
  FillEntry entry = FillEntry::kJoined;
  std::vector<Flight> due;
  std::string id = asker.request.listing.SnapshotId();
  {
    MutexLock lock(mutex_);
    auto join = [&](const Flight& flight) { return flight->id() == id && flight->Join(asker); };
    bool joined = std::ranges::any_of(running_, join) || std::ranges::any_of(waiting_, join);
    if (!joined) {
      entry = FillEntry::kBegan;
      waiting_.push_back(std::make_shared<LayerFlight>(context_, std::move(id), std::move(asker)));
      due = TakeTurns();
    }
  }
  if (std::shared_ptr<FillObserver> listening = observer.lock()) listening->OnFillEntered(entry);
  Begin(due);
}

std::vector<LayerReads::Flight> LayerReads::TakeTurns() {
  std::vector<Flight> due;
  for (auto next = waiting_.begin(); next != waiting_.end() && running_.size() < kThreads;) {
    bool must_wait = std::ranges::any_of(
        running_, [&](const Flight& flight) { return HaveOneInCommon(*flight, **next); });
    if (must_wait) {
      ++next;
      continue;
    }
    running_.push_back(*next);
    due.push_back(std::move(*next));
    next = waiting_.erase(next);
  }
  return due;
}

void LayerReads::Begin(const std::vector<Flight>& flights) {
  for (const Flight& flight : flights) {
    threads_.Post([this, flight] { flight->Run([&] { Ended(flight); }); });
  }
}

void LayerReads::Ended(const Flight& flight) {
  std::vector<Flight> due;
  {
    MutexLock lock(mutex_);
    std::erase(running_, flight);
    due = TakeTurns();
  }
  Begin(due);
}

std::optional<FillProgress> LayerReads::ProgressOf(const std::string& snapshot_id) const {
  MutexLock lock(mutex_);
  auto found = std::ranges::find_if(
      running_, [&](const Flight& flight) { return flight->id() == snapshot_id; });
  if (found == running_.end()) return std::nullopt;
  return (*found)->progress();
}

size_t LayerReads::FlightCount() const {
  MutexLock lock(mutex_);
  return running_.size() + waiting_.size();
}

}  // namespace weighhouse::fill
