#include "cache-daemon/engine/engine.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/fair_pool.h"
#include "base/log.h"
#include "base/worker_pool.h"
#include "cache-daemon/engine/acquisition.h"
#include "cache-daemon/engine/evict_named.h"
#include "cache-daemon/engine/holds.h"
#include "cache-daemon/engine/lease_gate.h"
#include "cache-daemon/engine/lease_policy.h"
#include "cache-daemon/engine/prefetches.h"
#include "cache-daemon/engine/source_answers.h"
#include "cache-daemon/engine/stat_model.h"
#include "cache-daemon/engine/upkeep.h"
#include "cache-daemon/engine/volumes.h"
#include "cache-daemon/io/buffer_pool.h"

namespace weighhouse {
namespace {

/// Two for each of a few files that are read back at once: the disk is busy with less.
constexpr size_t kReadBuffers = 8;
constexpr int kWorkers = 4;
/// Claims ask sources beside the publishes, which they must not hold up.
constexpr int kAskers = 8;

source::SourceOptions SourceOptionsOf(const EngineOptions& options) {
  return {.hub_endpoint = options.hub_endpoint,
          .hub_mirrors = options.hub_mirrors,
          .hub_offline = options.hub_offline,
          .modelscope_endpoint = options.modelscope_endpoint,
          .local_roots = options.local_roots,
          .allow_plain_http = options.allow_plain_http,
          .allow_addresses = options.allow_addresses,
          .proxies = options.proxies,
          .allow = options.allow,
          .deny = options.deny,
          .allow_by_namespace = options.allow_by_namespace,
          .deny_by_namespace = options.deny_by_namespace,
          .pickle = options.pickle,
          .ca_file = options.transport.ca_file,
          .buckets = options.buckets};
}

source::TransportOptions TransportOptionsOf(
    const EngineOptions& options, std::shared_ptr<const source::ConnectionPolicy> policy) {
  source::TransportOptions transport = options.transport;
  transport.policy = std::move(policy);
  // With fewer kept than are used at once, ends of ranges would close connections that the next
  // ranges open again. One more: a hedge goes beyond the limit.
  transport.max_connections =
      std::max(transport.max_connections, static_cast<int>(options.fill.connections) + 1);
  return transport;
}

class EngineImpl final : public Engine {
 public:
  static Result<std::unique_ptr<EngineImpl>> Open(const EngineOptions& options) {
    auto engine = std::unique_ptr<EngineImpl>(new EngineImpl());
    TRY(engine->Start(options));
    return engine;
  }
  ~EngineImpl() override;

  void Acquire(AcquireRequest request, std::weak_ptr<AcquireObserver> observer) override;
  Result<> Release(const std::string& lease_id) override;
  Result<SyncOutcome> SyncLeases(const SyncRequest& request) override;
  Result<std::string> Prefetch(const ModelReference& model,
                               const Credentials& credentials) override;
  Result<store::VolumeRecord> CreateVolume(const VolumeRequest& request) override {
    return volumes_->Create(request);
  }
  Result<> DeleteVolume(const std::string& volume_id) override {
    return volumes_->Delete(volume_id);
  }
  Result<store::VolumeRecord> GetVolume(const std::string& volume_id) const override {
    return volumes_->Get(volume_id);
  }
  Result<ModelFit> FitOf(const FitRequest& request) override { return volumes_->FitOf(request); }
  Result<EvictOutcome> Evict(const std::string& snapshot_id, const std::string& model) override {
    return EvictNamed(*store_, snapshot_id, model);
  }
  Result<Bytes> EvictQuarantine() override { return upkeep_->EvictQuarantine(); }
  std::vector<SnapshotView> List() const override;
  std::vector<PublishView> Publishes() override;
  store::Usage Usage() const override { return store_->UsageOfSnapshots(); }
  Result<StatView> Stat(const ModelReference& model, const Credentials& credentials) override {
    return StatModel(Parts(), model, credentials);
  }
  Result<VerifySums> Verify(const VerifyRequest& request, const VerifyObserver& observer,
                            std::stop_token stop) override {
    return upkeep_->Verify(request, observer, std::move(stop));
  }
  Result<store::SpaceSums> Capacity() const override { return store_->Space(); }
  Result<EngineInfo> Info() const override;
  Result<> Reconfigure(const EngineOptions& options) override;
  Result<store::EvictedToFit> EvictToFit(store::FitTo fit_to) override {
    return store_->EvictToFit(fit_to);
  }
  Result<> CheckAnswers(std::chrono::milliseconds patience) override;

 private:
  EngineImpl() = default;
  Result<> Start(const EngineOptions& options);
  Result<> Recreate(const SyncRequest::Live& live, std::chrono::system_clock::time_point epoch);
  EngineParts Parts() {
    return {*store_,          *sources_, *filler_, *workers_, *resolvers_,      *leases_,
            waits_,           board_,    *rights_, clock_,    acquire_metrics_, stop_.get_token(),
            longest_question_};
  }

  // In the order of their making: each uses those before it.
  SystemClock clock_;
  io::PosixFilesystem machines_filesystem_;
  io::Filesystem* filesystem_ = &machines_filesystem_;
  std::chrono::system_clock::time_point started_ = clock_.Now();
  std::stop_source stop_;
  std::chrono::milliseconds longest_question_{0};
  PublishWaits waits_;
  PublishBoard board_{clock_};
  metrics::AcquireMetrics acquire_metrics_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<LeaseGate> leases_;
  std::unique_ptr<Rights> rights_;
  std::unique_ptr<io::BufferPool> buffers_;
  std::unique_ptr<io::BufferPool> read_buffers_;
  io::IoEngineSelection io_;
  /// Shared by what asks sources and what fetches from them.
  std::shared_ptr<source::ConnectionPolicy> policy_ = std::make_shared<source::ConnectionPolicy>();
  std::unique_ptr<source::SourceRegistry> sources_;
  std::unique_ptr<source::Transport> transport_;
  std::unique_ptr<fill::Filler> filler_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<FairPool> resolvers_;
  std::unique_ptr<FairPool> askers_;
  std::unique_ptr<Upkeep> upkeep_;
  std::shared_ptr<Holds> holds_;            // shared: its timers refer to it
  std::shared_ptr<SourceAnswers> answers_;  // shared: its jobs refer to it
  std::unique_ptr<Prefetches> prefetches_;
  std::unique_ptr<Volumes> volumes_;

  Mutex mutex_;
  std::set<std::shared_ptr<Acquisition>> acquisitions_ GUARDED_BY(mutex_);
};

Result<> EngineImpl::Start(const EngineOptions& options) {
  acquire_metrics_ = options.metrics.acquire;
  longest_question_ = options.longest_question;
  store::StoreOptions store_options = options.store;
  store_options.metrics = options.metrics.store;
  if (options.filesystem != nullptr) filesystem_ = options.filesystem;
  store_ = TRY(store::Store::Open(*filesystem_, clock_, std::move(store_options)));
  const store::RecoverySummary& recovery = store_->recovery();
  spdlog::info(
      "cache {}: {} snapshots, {} blobs, {} leases, {} holds, {} volumes, {} grants, {} ingests to "
      "go on with; {} ingests and {} orphans dropped, {}",
      store_->root(), recovery.snapshots, recovery.blobs, recovery.leases, recovery.holds,
      recovery.volumes, recovery.grants, recovery.kept_ingests, recovery.dropped_ingests,
      recovery.dropped_orphans, FormatDuration(recovery.took));
  // Begun for a volume just before a crash, say, and promised to nobody.
  for (const store::Snapshot& snapshot : store_->Snapshots()) store_->DropBare(snapshot.id);
  leases_ = std::make_unique<LeaseGate>(*store_, clock_);
  rights_ = std::make_unique<Rights>(*store_, clock_, options.rights);
  size_t buffers = std::max<size_t>(options.buffer_bytes / io::BufferPool::kBufferSize,
                                    3 * options.fill.max_active_files);
  buffers_ = TRY(io::BufferPool::Create(buffers));
  read_buffers_ = TRY(io::BufferPool::Create(kReadBuffers));
  io_ = TRY(io::SelectIoEngine(options.write_engine));
  source::SourceOptions source_options = SourceOptionsOf(options);
  source_options.policy = policy_;
  source_options.secret_digest = [store = store_.get()](std::string_view secret) {
    return store->DigestOfSecret(secret);
  };
  sources_ = TRY(source::SourceRegistry::Create(std::move(source_options)));
  transport_ = TRY(source::CreateTransport(TransportOptionsOf(options, policy_)));
  filler_ = fill::Filler::Create(options.fill, {.transport = *transport_,
                                                .io = *io_.engine,
                                                .buffers = *buffers_,
                                                .read_buffers = *read_buffers_,
                                                .store = *store_,
                                                .clock = clock_,
                                                .metrics = options.metrics.fill});
  workers_ = std::make_unique<WorkerPool>("engine", kWorkers);
  auto resolvers = FairPool::Size::Quarters(static_cast<int>(options.resolve_threads));
  resolvers_ = std::make_unique<FairPool>("resolver", resolvers);
  askers_ = std::make_unique<FairPool>("asker", FairPool::Size::Quarters(kAskers));
  upkeep_ = std::make_unique<Upkeep>(Parts(), *transport_, options);
  upkeep_->Start();
  auto run_after = [this](auto time, std::function<void()> task) {
    auto run = [this, task = std::move(task)] { workers_->Post(task); };
    transport_->PostAfter(std::chrono::ceil<std::chrono::milliseconds>(time), std::move(run));
  };
  holds_ = std::make_shared<Holds>(*store_, clock_, std::move(run_after), options.hold_timeout);
  holds_->Start();
  answers_ = std::make_shared<SourceAnswers>(Parts(), *askers_);
  prefetches_ = std::make_unique<Prefetches>(Parts());
  volumes_ = std::make_unique<Volumes>(Parts(), *holds_, *answers_, *prefetches_);
  return {};
}

EngineImpl::~EngineImpl() {
  if (!workers_) return;  // Start failed before anything ran
  stop_.request_stop();
  upkeep_->AwaitEnd();
  // Stopped, not destroyed: a fill that ends right now still posts to them.
  workers_->Stop();
  resolvers_->Stop();
  askers_->Stop();
  filler_.reset();
  {
    MutexLock lock(mutex_);
    acquisitions_.clear();
  }
  transport_.reset();
  io_.engine.reset();
}

void EngineImpl::Acquire(AcquireRequest request, std::weak_ptr<AcquireObserver> observer) {
  auto acquisition =
      std::make_shared<Acquisition>(Parts(), std::move(request), std::move(observer),
                                    [this](const std::shared_ptr<Acquisition>& finished) {
                                      MutexLock lock(mutex_);
                                      acquisitions_.erase(finished);
                                    });
  {
    MutexLock lock(mutex_);
    acquisitions_.insert(acquisition);
  }
  acquisition->Start();
}

Result<> EngineImpl::Release(const std::string& lease_id) {
  waits_.Leave(lease_id);
  board_.Release(lease_id);
  TRY(leases_->Release(lease_id));
  store_->TidyQuarantine();
  return {};
}

Result<SyncOutcome> EngineImpl::SyncLeases(const SyncRequest& request) {
  auto snapshot_of = [this](const std::string& tree) -> std::optional<std::string> {
    Result<std::string> id = store_->SnapshotOfTree(tree);
    if (!id) return std::nullopt;
    return *std::move(id);
  };
  LeaseChanges changes = PlanLeaseChanges(store_->Leases(), request, snapshot_of);
  SyncOutcome outcome;
  for (const std::string& id : changes.drop) {
    TRY(Release(id));
    ++outcome.dropped;
  }
  for (const SyncRequest::Live& live : changes.recreate) {
    Result<> recreated = Recreate(live, request.epoch);
    if (recreated) {
      ++outcome.recreated;
    } else if (recreated.error().code != Code::kCancelled) {
      LogRepeated(LogLevel::kError,
                  fmt::format("mount {} has no lease and can't get one: {}",
                              live.holder.target_path, recreated.error().message));
    }
  }
  if (outcome.dropped + outcome.recreated > 0) {
    LogEvent(LogLevel::kInfo, fmt::format("leases: {} dropped, {} made again for their mounts",
                                          outcome.dropped, outcome.recreated));
  }
  return outcome;
}

Result<> EngineImpl::Recreate(const SyncRequest::Live& live,
                              std::chrono::system_clock::time_point epoch) {
  std::string snapshot_id = TRY(store_->SnapshotOfTree(live.tree));
  store::LeaseRecord lease{.id = live.lease_id,
                           .snapshot_id = std::move(snapshot_id),
                           .tree = live.tree,
                           .volume_id = live.holder.volume_id,
                           .target_path = live.holder.target_path,
                           .pod_namespace = live.holder.pod_namespace,
                           .pod_name = live.holder.pod_name,
                           .pod_uid = live.holder.pod_uid,
                           .request_fingerprint = "",
                           .boot_id = store_->boot_id(),
                           .taken = clock_.Now()};
  TRY(leases_->Recreate(lease, epoch));
  store_->TidyQuarantine();  // it may have replaced one on a withdrawn tree
  return {};
}

Result<std::string> EngineImpl::Prefetch(const ModelReference& model,
                                         const Credentials& credentials) {
  Resolved resolved = TRY(ResolveModel(Parts(), model, {.credentials = credentials}));
  return prefetches_->Begin(model, credentials, std::move(resolved), {});
}

std::vector<SnapshotView> EngineImpl::List() const {
  std::map<std::string, std::vector<std::string>> references;
  for (store::ReferenceRecord& reference : store_->References()) {
    references[reference.snapshot_id].push_back(std::move(reference.text));
  }
  std::map<std::string, std::vector<Holder>> leases;
  for (const store::LeaseRecord& lease : store_->Leases()) {
    leases[lease.snapshot_id].push_back(HolderOf(lease));
  }
  std::vector<SnapshotView> views;
  std::set<std::string> kept = store_->Kept();
  for (store::Snapshot& snapshot : store_->Snapshots()) {
    views.push_back({.references = std::move(references[snapshot.id]),
                     .leases = std::move(leases[snapshot.id]),
                     .kept = kept.contains(snapshot.id),
                     .filling = filler_->ProgressOf(snapshot.id)});
    views.back().snapshot = std::move(snapshot);
  }
  return views;
}

std::vector<PublishView> EngineImpl::Publishes() {
  std::vector<PublishView> publishes = board_.View();
  for (PublishView& publish : publishes) {
    auto* filling = std::get_if<PublishView::Filling>(&publish.state);
    if (filling == nullptr) continue;
    // Between kubelet's tries nobody hears of the fill, and it goes on.
    std::optional<fill::FillProgress> progress = filler_->ProgressOf(filling->snapshot_id);
    if (progress) filling->progress = *std::move(progress);
  }
  return publishes;
}

Result<> EngineImpl::Reconfigure(const EngineOptions& options) {
  // First what may fail, and then changes nothing.
  TRY(store_->SetLimits(options.store.limit, options.store.min_free));
  TRY(sources_->Allow(SourceOptionsOf(options)));
  transport_->Reconfigure(TransportOptionsOf(options, policy_));
  filler_->Reconfigure(options.fill);
  holds_->SetTimeout(options.hold_timeout);
  upkeep_->Keep(options.keep);
  rights_->SetOptions(options.rights);
  return {};
}

Result<EngineInfo> EngineImpl::Info() const {
  io::FileStatus root = TRY(filesystem_->Status(store_->root()));
  fill::Filler::Activity activity = filler_->CurrentActivity();
  return EngineInfo{.root = store_->root(),
                    .root_id = store_->root_id(),
                    .write_engine = std::string(io_.engine->Name()),
                    .fallback_reason = io_.fallback_reason,
                    .root_device = root.device,
                    .root_inode = root.inode,
                    .uid = ::geteuid(),
                    .fills_active = activity.fills,
                    .bytes_fetched = activity.bytes_fetched,
                    .hosts = std::move(activity.hosts),
                    .contents = store_->Count(),
                    .holds = store_->Holds(),
                    .refused_for_space = waits_.RefusedForSpace(clock_.Steady()),
                    .started = started_,
                    .integrity = upkeep_->View(),
                    .keep = upkeep_->ViewOfKept()};
}

Result<> EngineImpl::CheckAnswers(std::chrono::milliseconds patience) {
  auto ran = std::make_shared<std::promise<void>>();  // shared: the task may come too late
  std::future<void> answer = ran->get_future();
  transport_->Post([ran] { ran->set_value(); });
  if (answer.wait_for(patience) == std::future_status::ready) return {};
  return Fail(Code::kDeadlineExceeded,
              fmt::format("the event loop has not answered for {}", FormatDuration(patience)));
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Open(const EngineOptions& options) {
  std::unique_ptr<Engine> engine = TRY(EngineImpl::Open(options));
  return engine;
}

}  // namespace weighhouse
