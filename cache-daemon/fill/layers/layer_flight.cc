#include "cache-daemon/fill/layers/layer_flight.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "cache-daemon/fill/file_askers.h"
#include "cache-daemon/fill/layers/layer_stream.h"
#include "cache-daemon/fill/layers/whole_listing.h"

namespace weighhouse::fill {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenReports{200};

std::string NameOf(const PackedLayer& layer) { return "layer sha256:" + layer.digest; }

/// As a raw layer is listed: whoever knows where such a file is knows where this blob is.
ListedFile BlobOf(const PackedLayer& layer) {
  return {.path = NameOf(layer),
          .size = layer.size,
          .identity = {FileIdentity::Kind::kSha256, layer.digest}};
}

/// The source contradicts itself: to callers kOutOfRange means that a model is larger than may be.
Error OfLayerSource(Error error) {
  if (error.code == Code::kOutOfRange) error.code = Code::kFailedPrecondition;
  return error;
}

std::set<std::string> LayersOf(const Listing& listing) {
  std::set<std::string> digests;
  for (const PackedLayer& layer : listing.packed) digests.insert(layer.digest);
  for (const ListedFile& file : listing.files) {
    std::optional<LayerPlace> place = LayerPlace::Parse(file.identity.value);
    if (place) digests.insert(std::move(place->digest));
  }
  return digests;
}

}  // namespace

LayerFlight::LayerFlight(std::shared_ptr<FillContext> context, std::string id, LayerAsker first)
    : context_(std::move(context)),
      id_(std::move(id)),
      origin_(first.request.listing.origin),
      layers_(LayersOf(first.request.listing)),
      room_(context_->parts.store, id_),
      askers_(std::move(first)) {}

FillProgress LayerFlight::progress() const {
  MutexLock lock(mutex_);
  return progress_;
}

void LayerFlight::Run(const std::function<void()>& ended) {
  Result<> outcome;
  while (true) {
    outcome = ReadAll(askers_.First()->request);
    // Of the credentials alone; a registry that hides a layer from one may show it to another.
    Asker refused = !outcome && IsRefusal(outcome.error()) ? askers_.DropFirst() : nullptr;
    if (!refused) break;
    refused->done(std::unexpected(std::move(outcome).error()));
  }
  room_.End();
  std::vector<Asker> askers = askers_.Close();
  if (context_->stop.stop_requested()) return;
  std::vector<Result<LayersRead>> results;
  for (const Asker& asker : askers) {
    if (outcome) results.push_back(Finish(asker->request));
    if (!outcome) results.emplace_back(std::unexpected(outcome.error()));
  }
  // What is not committed by now goes before anybody hears how it ended.
  staged_.clear();
  for (size_t i = 0; i < askers.size(); ++i) askers[i]->done(results[i]);
  ended();
}

std::vector<LayerFlight::Task> LayerFlight::Plan(const LayerRequest& request) const {
  std::vector<Task> tasks;
  const Listing& listing = request.listing;
  for (const PackedLayer& layer : listing.packed) {
    bool twice = std::ranges::any_of(tasks, [&](const Task& task) { return task.layer == layer; });
    if (twice || context_->parts.store.FindLayer(OriginOf(request), layer)) continue;
    tasks.push_back({.layer = layer, .wanted = {}});
  }
  if (!listing.packed.empty()) return tasks;
  std::optional<store::Snapshot> snapshot = context_->parts.store.FindSnapshot(id_);
  if (!snapshot) return tasks;
  std::map<PackedLayer, std::set<std::string>> lacking;
  for (const store::SnapshotFile& file : snapshot->files) {
    const std::string& token = file.listed.identity.value;
    std::optional<LayerPlace> place = LayerPlace::Parse(token);
    // Somebody's credentials may have been good for a part of them.
    if (file.blob || !place || staged_.contains(token)) continue;
    PackedLayer layer{.digest = place->digest, .size = place->size, .prefix = place->prefix};
    lacking[std::move(layer)].insert(std::move(place->path));
  }
  for (auto& [layer, paths] : lacking) tasks.push_back({layer, std::move(paths)});
  return tasks;
}

Result<> LayerFlight::ReadAll(const LayerRequest& request) {
  LogScope scope(request.log);
  std::vector<Task> tasks = Plan(request);
  Bytes packed = 0;
  for (const Task& task : tasks) packed += task.layer.size;
  {
    MutexLock lock(mutex_);
    progress_ = {.bytes_total = packed};
  }
  if (tasks.empty()) return {};
  TRY(room_.Begin(packed));
  {
    MutexLock lock(mutex_);
    progress_.files_total = tasks.size();
    progress_.connections = 1;
  }
  std::unique_ptr<StagedWriter> writer = TRY(StagedWriter::Create(context_->parts.io));
  for (const Task& task : tasks) {
    Result<> read = ReadOne(request, task, *writer);
    if (!read) return std::unexpected(std::move(read).error().Within(NameOf(task.layer)));
    MutexLock lock(mutex_);
    ++progress_.files_done;
  }
  return {};
}

Result<> LayerFlight::ReadOne(const LayerRequest& request, const Task& task, StagedWriter& writer) {
  auto locate = [&]() -> Result<source::FileLocation> {
    Result<source::FileLocation> location =
        request.source->Locate(request.reference, request.listing, BlobOf(task.layer),
                               request.credentials, context_->stop.get_token());
    if (location) return location;
    return std::unexpected(OfLayerSource(std::move(location).error()));
  };
  LayerStream stream(context_,
                     {.size = task.layer.size,
                      .fill = id_,
                      .priority = askers_.priority(),
                      .source = metrics::SourceKindOf(request.reference.Scheme())},
                     locate, context_->stop.get_token());
  auto bytes = [&]() -> Result<std::span<const std::byte>> {
    Result<std::span<const std::byte>> next = stream.Next();
    if (!next) return std::unexpected(OfLayerSource(std::move(next).error()));
    Report(next->size());
    return next;
  };
  const store::LayerOrigin origin = OriginOf(request);
  LayerReading reading({.store = context_->parts.store, .writer = writer, .room = room_}, origin,
                       task.layer, task.wanted);
  ReadLayer read = TRY(reading.Run(bytes));
  for (auto& [path, staged] : read.staged) {
    LayerPlace place{.digest = task.layer.digest,
                     .size = task.layer.size,
                     .prefix = task.layer.prefix,
                     .path = path};
    staged_.insert_or_assign(place.ToToken(), std::move(staged));
  }
  TRY(context_->parts.store.RecordLayer(origin, read.record));
  FaultPoint("unpack.recorded");
  LogEvent(LogLevel::kInfo,
           fmt::format("{}: read, {} of {} files kept", NameOf(task.layer), read.staged.size(),
                       read.record.entries.size()),
           {{"snapshot", id_}, {"bytes", task.layer.size}});
  return {};
}

Result<LayersRead> LayerFlight::Finish(const LayerRequest& request) {
  store::Store& store = context_->parts.store;
  LayersRead read{.bytes_fetched = progress().bytes_fetched};
  Listing whole = TRY(WithLayers(store, request.listing));
  if (!whole.packed.empty()) {
    return Fail(Code::kAborted, "what a layer holds was forgotten as it was read: try again");
  }
  read.listing = TRY(request.choose(whole));
  read.hold = store.HoldForFill(read.listing.SnapshotId());
  store::Snapshot snapshot = TRY(store.BeginSnapshot(read.listing));
  TRY(Commit(request, snapshot));
  return read;
}

Result<> LayerFlight::Commit(const LayerRequest& request, const store::Snapshot& snapshot) {
  metrics::SourceKind kind = metrics::SourceKindOf(request.reference.Scheme());
  std::set<std::string> committed;
  for (const store::SnapshotFile& file : snapshot.files) {
    const FileIdentity& identity = file.listed.identity;
    auto found = staged_.find(identity.value);
    if (file.blob || found == staged_.end() || !committed.insert(identity.value).second) continue;
    StagedEntry& staged = found->second;
    TRY(staged.ingest->Commit(snapshot.id, identity, staged.size, staged.sha256));
    context_->parts.metrics.OnVerified(kind, staged.size);
    staged_.erase(found);
    FaultPoint("unpack.committed");
  }
  return {};
}

void LayerFlight::Report(Bytes more) {
  FillProgress progress;
  {
    MutexLock lock(mutex_);
    progress_.bytes_done += more;
    progress_.bytes_fetched += more;
    auto now = context_->parts.clock.Steady();
    if (now - reported_ < kBetweenReports) return;
    reported_ = now;
    progress_.bytes_per_second = rate_.Sample(now, progress_.bytes_fetched);
    progress = progress_;
  }
  for (const Asker& asker : askers_.All()) {
    if (std::shared_ptr<FillObserver> observer = asker->observer.lock()) {
      observer->OnFillProgress(progress);
    }
  }
}

}  // namespace weighhouse::fill
