#include "cache-daemon/fill/fill_scheduler.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "cache-daemon/fill/warmer.h"
#include "cache-daemon/store/ingest_name.h"

namespace weighhouse::fill {
namespace {

using store::FreshIngestFor;
using store::IngestIdOf;
using store::kPublicOrigins;

constexpr std::chrono::milliseconds kTick{100};
constexpr int kTicksPerPublish = 2;
/// Files that another flight brought are usable at once if they came from the same origin, so a
/// second round is rare, and a third means that blobs vanish under us.
constexpr int kMaxRounds = 4;
/// That are remembered: more are rarely wanted at once, and it is about the log only.
constexpr size_t kMostFailed = 1000;

/// What a fill of the listing will start for what the snapshot lacks. (Where it joins others'
/// ingests instead, those are promised to them.)
std::set<std::string> FreshIngests(const Listing& listing, const store::Snapshot& snapshot) {
  std::set<std::string> ids;
  for (const store::SnapshotFile& file : snapshot.files) {
    if (!file.blob) ids.insert(FreshIngestFor(listing.origin, listing.anonymous, file.listed));
  }
  return ids;
}

int64_t MillisecondsOf(std::chrono::steady_clock::duration span) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}

/// `again`: the last one of the snapshot failed, and so may this and each that comes after it.
void SayBegun(const SnapshotFill& flight, const store::Snapshot& snapshot, bool again) {
  LogScope scope(flight.request().log);
  Bytes missing = snapshot.TotalBytes() - snapshot.PresentBytes();
  std::string text =
      fmt::format("fill {}: {} of {} in {} files to fetch", flight.id(), FormatBytes(missing),
                  FormatBytes(snapshot.TotalBytes()), snapshot.files.size());
  LogFields fields = {{"model", flight.request().reference.ToString()},
                      {"snapshot", flight.id()},
                      {"bytes", snapshot.TotalBytes()},
                      {"bytes_missing", missing},
                      {"files", snapshot.files.size()}};
  if (again) return LogRepeated(LogLevel::kInfo, text, fields);
  LogEvent(LogLevel::kInfo, text, fields);
}

/// In the context of who joins: its line has the id of the fill's lines too.
void SayJoined(const SnapshotFill& flight, const FillRequest& request) {
  LogScope scope(request.log);
  LogFields fields = {{"model", request.reference.ToString()}, {"snapshot", flight.id()}};
  std::string_view of = flight.request().log.request();
  if (!of.empty()) fields.emplace_back("fill_request", of);
  LogEvent(LogLevel::kInfo, fmt::format("fill {}: joined one that is under way", flight.id()),
           fields);
}

void SayEnded(const SnapshotFill& flight, const Result<>& outcome, const FillProgress& progress,
              std::chrono::steady_clock::duration took) {
  LogScope scope(flight.request().log);
  LogFields fields = {{"model", flight.request().reference.ToString()},
                      {"snapshot", flight.id()},
                      {"bytes_fetched", progress.bytes_fetched},
                      {"ms", MillisecondsOf(took)}};
  if (outcome) {
    std::string text = fmt::format(
        "fill {}: complete, {} fetched in {}", flight.id(), FormatBytes(progress.bytes_fetched),
        FormatDuration(std::chrono::duration_cast<std::chrono::milliseconds>(took)));
    return LogEvent(LogLevel::kInfo, text, fields);
  }
  fields.emplace_back("code", CodeName(outcome.error().code));
  LogRepeated(LogLevel::kWarning,
              fmt::format("fill {}: ended: {}", flight.id(), outcome.error().message), fields);
}

}  // namespace

FillScheduler::FillScheduler(std::shared_ptr<FillContext> context) : context_(std::move(context)) {}

void FillScheduler::Join(FillRequest request, std::weak_ptr<FillObserver> observer) {
  if (context_->stopped) return;
  auto shared = std::make_shared<const FillRequest>(std::move(request));
  io::BufferPool& pool = context_->parts.buffers;
  bool needs_all = shared->listing.TotalBytes() >= pool.count() * pool.buffer_size();
  if (needs_all && !std::exchange(prefaulted_, true)) {
    context_->workers->Post([&pool] { pool.Prefault(); });
  }
  auto found = flights_.find(shared->snapshot_id);
  if (found != flights_.end()) return JoinFlight(*found->second, shared, std::move(observer));
  context_->parts.metrics.OnStarted(shared->source_kind());
  auto flight = std::make_shared<SnapshotFill>(std::move(shared), context_->parts.clock.Steady());
  flight->AddObserver(std::move(observer), FillEntry::kBegan);
  flights_.emplace(flight->id(), flight);
  Publish();
  TakeStock(flight);
  if (!std::exchange(ticking_, true)) Tick();
}

void FillScheduler::JoinFlight(SnapshotFill& flight,
                               const std::shared_ptr<const FillRequest>& request,
                               std::weak_ptr<FillObserver> observer) {
  flight.AddObserver(std::move(observer), FillEntry::kJoined);
  SayJoined(flight, *request);
  Raise(flight, request->priority);
  if (!flight.AddRequest(request)) return;
  for (const std::string& ingest_id : flight.running()) {
    auto file = files_.find(ingest_id);
    if (file != files_.end()) file->second.fill->AddAsker(request);
  }
}

void FillScheduler::Raise(SnapshotFill& flight, FillPriority priority) {
  if (priority <= flight.priority()) return;
  flight.set_priority(priority);
  for (const std::string& ingest_id : flight.running()) {
    auto file = files_.find(ingest_id);
    if (file != files_.end()) file->second.fill->RaisePriority(priority);
  }
  Schedule();
}

void FillScheduler::Stop() {
  context_->stopped = true;
  for (auto& [id, file] : files_) file.fill->Stop();
  files_.clear();
  turns_.clear();
  flights_.clear();
}

void FillScheduler::OnBuffersFreed() {
  for (FillPriority first : {FillPriority::kWaitedFor, FillPriority::kPrefetch}) {
    for (auto& [id, file] : files_) {
      if (file.fill->priority() == first) file.fill->ResumePaused();
    }
  }
}

void FillScheduler::TakeStock(const Flight& flight) {
  // The request itself, because the flight is the strand's.
  context_->workers->Post(
      [self = shared_from_this(), flight, request = flight->requests().front()] {
        Result<std::shared_ptr<Stock>> shared;  // shared: std::function copies its captures
        Result<Stock> stock = self->ReadStock(*request);
        if (stock) {
          shared = std::make_shared<Stock>(std::move(*stock));
        } else {
          shared = std::unexpected(std::move(stock).error());
        }
        self->context_->parts.transport.Post([self, flight, shared = std::move(shared)] {
          if (!self->context_->stopped) self->OnStock(flight, shared);
        });
      });
}

Result<FillScheduler::Stock> FillScheduler::ReadStock(const FillRequest& request) const {
  store::Store& store = context_->parts.store;
  Stock stock;
  stock.hold = store.HoldForFill(request.snapshot_id);
  stock.snapshot = TRY(store.BeginSnapshot(request.listing));
  Bytes missing = stock.snapshot.TotalBytes() - stock.snapshot.PresentBytes();
  if (missing > 0) {
    std::set<std::string> ingests = FreshIngests(request.listing, stock.snapshot);
    stock.reservation = TRY(store.Reserve(missing, request.snapshot_id, ingests));
  }
  bool lacking = std::ranges::any_of(stock.snapshot.files,
                                     [](const store::SnapshotFile& file) { return !file.blob; });
  if (lacking || stock.snapshot.complete) return stock;
  FaultPoint("fill.snapshot_filled");
  TRY(store.CompleteSnapshot(request.snapshot_id));
  stock.snapshot.complete = true;
  return stock;
}

void FillScheduler::OnStock(const Flight& flight, Result<std::shared_ptr<Stock>> stock) {
  if (!stock) return EndFlight(flight, std::unexpected(std::move(stock).error()));
  flight->SetSnapshot((*stock)->snapshot);
  if ((*stock)->snapshot.complete) return EndFlight(flight, {});
  int round = flight->CountRound();
  if (round == 1) SayBegun(*flight, (*stock)->snapshot, failed_.contains(flight->id()));
  if (round > kMaxRounds) {
    return EndFlight(flight, Fail(Code::kUnavailable, "its files vanish as they are fetched"));
  }
  flight->Hold(std::move((*stock)->reservation), std::move((*stock)->hold));
  turns_.push_back(flight);
  Schedule();
}

void FillScheduler::Schedule() {
  while (Flight flight = TakeTurn()) {
    if (BeginNextFile(flight)) turns_.push_back(std::move(flight));
  }
}

FillScheduler::Flight FillScheduler::TakeTurn() {
  size_t most = context_->options.max_active_files;
  if (files_.size() >= most) return nullptr;
  auto prefetches = static_cast<size_t>(std::ranges::count_if(files_, [](const auto& file) {
    return file.second.fill->priority() == FillPriority::kPrefetch;
  }));
  // The last place is a prefetch's if none has one, so that none starves.
  bool last_place = most > 1 && files_.size() + 1 == most && prefetches == 0;
  Flight flight = last_place ? TakeTurn(FillPriority::kPrefetch) : nullptr;
  if (!flight) flight = TakeTurn(FillPriority::kWaitedFor);
  if (!flight && prefetches < std::max<size_t>(1, most / 2)) {
    flight = TakeTurn(FillPriority::kPrefetch);
  }
  return flight;
}

FillScheduler::Flight FillScheduler::TakeTurn(FillPriority priority) {
  auto turn = std::ranges::find_if(
      turns_, [&](const Flight& flight) { return flight->priority() == priority; });
  if (turn == turns_.end()) return nullptr;
  Flight flight = std::move(*turn);
  turns_.erase(turn);
  return flight;
}

std::string FillScheduler::IngestFor(const Listing& listing, const ListedFile& file) const {
  std::string own = IngestIdOf(listing.origin, file);
  bool named = file.identity.kind == FileIdentity::Kind::kSha256;
  if (!named || files_.contains(own)) return own;
  if (listing.anonymous) return FreshIngestFor(listing.origin, true, file);
  std::string common = IngestIdOf(kPublicOrigins, file);
  auto found = files_.find(common);
  bool is_public = found != files_.end() && found->second.fill->askers().HasOrigin(listing.origin);
  return is_public ? common : own;
}

bool FillScheduler::BeginNextFile(const Flight& flight) {
  std::optional<ListedFile> next = flight->NextFile();
  if (!next) return false;
  std::string ingest_id = IngestFor(flight->request().listing, *next);
  flight->FileBegun(ingest_id);
  ActiveFile& active = files_[ingest_id];
  active.flights.push_back(flight);
  bool begins = active.fill == nullptr;
  if (begins) {
    auto done = [weak = weak_from_this(), ingest_id](const Result<>& outcome) {
      if (std::shared_ptr<FillScheduler> self = weak.lock()) self->OnFileDone(ingest_id, outcome);
    };
    active.fill =
        std::make_shared<FileFill>(context_, *std::move(next), ingest_id, std::move(done));
  }
  for (const auto& request : flight->requests()) active.fill->AddAsker(request);
  active.fill->RaisePriority(flight->priority());
  if (begins) active.fill->Start();
  return true;
}

/// The disk had no room for what was promised to the flight: says where that is.
Error FillScheduler::WithSums(Error error, const SnapshotFill& flight) const {
  if (error.code != Code::kResourceExhausted) return error;
  Result<store::SpaceSums> sums = context_->parts.store.Space();
  if (!sums) return error;
  error.message += fmt::format(
      ": need {}; {}: where other files on its filesystem took what was promised, remove them, or "
      "wait for pods to end",
      FormatBytes(flight.request().listing.TotalBytes()), Describe(*sums));
  return error;
}

void FillScheduler::OnFileDone(const std::string& ingest_id, const Result<>& outcome) {
  auto node = files_.extract(ingest_id);
  CHECK(!node.empty());
  for (const Flight& flight : node.mapped().flights) {
    auto current = flights_.find(flight->id());
    if (current == flights_.end() || current->second != flight) continue;  // it ended before
    const FileFill& fill = *node.mapped().fill;
    if (!outcome) {
      Error error = fill.askers().FailureOf(flight->id()).value_or(outcome.error());
      EndFlight(flight, std::unexpected(WithSums(std::move(error), *flight)));
      continue;
    }
    flight->FileDone(ingest_id, fill.file(), fill.file().size - fill.resumed());
    if (flight->Idle()) TakeStock(flight);
  }
  Schedule();
}

/// The files that a failed flight began go on: what they bring is kept, and the next attempt finds
/// it.
void FillScheduler::EndFlight(const Flight& flight, Result<> outcome) {
  Flight keep = flight;
  std::erase(turns_, keep);
  flights_.erase(keep->id());
  Publish();
  auto now = context_->parts.clock.Steady();
  context_->parts.metrics.OnEnded(keep->request().source_kind(), outcome, now - keep->begun());
  FillProgress progress = keep->Progress({}, now);
  SayEnded(*keep, outcome, progress, now - keep->begun());
  if (failed_.size() == kMostFailed) failed_.clear();
  if (outcome)
    failed_.erase(keep->id());
  else
    failed_.insert(keep->id());
  if (!outcome) {
    keep->NotifyDone(std::unexpected(std::move(outcome).error()));
    return;
  }
  if (context_->warmer != nullptr) context_->warmer->Warm(keep->id());
  keep->NotifyDone(progress);
}

FillProgress FillScheduler::Measure(SnapshotFill& flight) const {
  SnapshotFill::Running running;
  bool moving = false;
  for (const std::string& ingest_id : flight.running()) {
    auto file = files_.find(ingest_id);
    if (file == files_.end()) continue;
    AddFigures(*file->second.fill, running);
    if (file->second.fill->waiting_for().empty()) moving = true;
  }
  if (moving) running.waiting_for.clear();
  return flight.Progress(std::move(running), context_->parts.clock.Steady());
}

void FillScheduler::AddFigures(const FileFill& file, SnapshotFill::Running& running) const {
  running.received += file.received();
  running.fetched += file.received() - std::min(file.received(), file.resumed());
  running.connections += file.connections();
  if (running.waiting_for.empty()) running.waiting_for = file.waiting_for();
  std::optional<HostConnections> host = file.host();
  if (!host) return;
  auto known = std::ranges::find(running.hosts, host->host, &HostConnections::host);
  if (known == running.hosts.end()) running.hosts.push_back(*std::move(host));
}

void FillScheduler::Tick() {
  if (context_->stopped) return;
  ticking_ = !flights_.empty() || !files_.empty();
  context_->governor.Tick();
  for (auto& [id, file] : files_) file.fill->Tick();
  if (++ticks_ % kTicksPerPublish == 0 || !ticking_) Publish();
  if (!ticking_) return;
  context_->parts.transport.PostAfter(kTick, [self = shared_from_this()] { self->Tick(); });
}

void FillScheduler::Publish() {
  std::map<std::string, FillProgress> progress;
  for (auto& [id, flight] : flights_) progress[id] = Measure(*flight);
  std::vector<HostConnections> hosts = context_->governor.Hosts();
  {
    MutexLock lock(mutex_);
    published_ = progress;
    hosts_ = std::move(hosts);
  }
  // Then: who hears of a fill finds it.
  for (auto& [id, flight] : flights_) flight->NotifyProgress(progress[id]);
}

std::vector<HostConnections> FillScheduler::Hosts() const {
  MutexLock lock(mutex_);
  return hosts_;
}

std::optional<FillProgress> FillScheduler::ProgressOf(const std::string& snapshot_id) const {
  MutexLock lock(mutex_);
  auto found = published_.find(snapshot_id);
  if (found == published_.end()) return std::nullopt;
  return found->second;
}

size_t FillScheduler::FillCount() const {
  MutexLock lock(mutex_);
  return published_.size();
}

}  // namespace weighhouse::fill
