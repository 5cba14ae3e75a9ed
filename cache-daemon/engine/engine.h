#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/model.h"
#include "base/rights_options.h"
#include "cache-daemon/engine/publish_view.h"
#include "cache-daemon/fill/filler.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/io/io_engine.h"
#include "cache-daemon/source/bucket_sources.h"
#include "cache-daemon/source/model_rules.h"
#include "cache-daemon/source/pickle_files.h"
#include "cache-daemon/source/time_limit.h"
#include "cache-daemon/source/transport.h"
#include "cache-daemon/store/store.h"

namespace weighhouse {

/// How the scrub reads: by itself, all blobs, one pass after another.
struct ScrubOptions {
  Bytes daily_bytes = 0;       ///< 0: never
  Bytes bytes_per_second = 0;  ///< 0: no limit
};

struct EngineOptions {
  store::StoreOptions store;
  fill::FillerOptions fill;
  source::TransportOptions transport;
  io::IoEngineChoice write_engine = io::IoEngineChoice::kAuto;
  Bytes buffer_bytes = 128 * kMiB;  ///< what is read back from the disk takes 16 MiB beside it
  RightsOptions rights;
  std::string hub_endpoint;              ///< empty: HF_ENDPOINT, else https://huggingface.co
  std::vector<std::string> hub_mirrors;  ///< these and the next two: as SourceOptions'
  bool hub_offline = false;
  std::string modelscope_endpoint;
  std::vector<std::string>
      local_roots;  ///< file:// models must lie below one of these; empty: none allowed
  bool allow_plain_http = false;                           ///< as source::ConnectionRules
  std::vector<source::AddressRange> allow_addresses = {};  ///< as source::ConnectionRules
  source::Proxies proxies = {};                            ///< as source::SourceOptions
  std::vector<std::string> allow{"*"};  ///< globs of model URIs; others are refused
  std::vector<std::string> deny = {};   ///< globs; they win
  std::vector<source::NamespaceRule> allow_by_namespace = {};  ///< as source::ModelRules
  std::vector<source::NamespaceRule> deny_by_namespace = {};   ///< as source::ModelRules
  source::PicklePolicy pickle = source::PicklePolicy::kAllow;
  source::BucketOptions buckets;
  /// Each waits for a source, and may hold a listing. A namespace has a quarter of them at most.
  size_t resolve_threads = 16;
  /// After which a source counts as away.
  std::chrono::milliseconds longest_question = source::kLongestResolve;
  /// Interrupted fills of public models go on by themselves, also those that lost a bad file.
  bool resume_fills = false;
  std::chrono::seconds hold_timeout{600};  ///< of holds that nobody comes for
  /// Fetched by nobody's credentials, after what is waited for, and never evicted.
  std::vector<ModelReference> keep;
  ScrubOptions scrub;
  Bytes verify_rate = 0;          ///< bytes a second, where a Verify doesn't say; 0: no limit
  metrics::CacheMetrics metrics;  ///< of a registry that outlives the engine
  io::Filesystem* filesystem = nullptr;  ///< outlives the engine; null: the machine's own
};

struct AcquireRequest {
  std::string lease_id;  ///< empty: make present, hold nothing; an admin's wish
  Holder holder;
  ModelReference model;
  Layout layout = Layout::kFiles;
  Credentials credentials;
  /// A pod reads the volume already: only its lease is asked (kNotFound where that can't tell), and
  /// left as it is whatever comes of it.
  bool mounted = false;
};

/// A volume that is to be promised to a claim: see cache.proto CreateVolume.
struct VolumeRequest {
  std::string volume_id;
  std::string request_digest;
  ModelReference model;
  Bytes required_bytes = 0;
  Bytes limit_bytes = 0;  ///< 0: none
  bool cached_only = false;
  Credentials credentials;
  std::string claim_namespace = {};  ///< empty: not known
  /// Until when the source may be waited for, and what met an eviction be tried again.
  std::chrono::steady_clock::time_point deadline;
};

/// Whether CreateVolume would find room, as far as this node knows.
struct FitRequest {
  ModelReference model;
  bool cached_only = false;
};
struct ModelFit {
  bool known = false;  ///< else nothing else is, and room for what the claim asks for counts
  bool fits = false;
  bool cached = false;
  Bytes bytes = 0;
  Bytes bytes_missing = 0;
};

/// What an Acquire ends with.
struct AcquiredTree {
  std::string snapshot_id;
  std::string revision;
  std::string tree;  ///< relative to the root
  Bytes bytes = 0;
  Bytes bytes_fetched = 0;
  size_t files = 0;
  enum class ServedFrom { kSource, kLease, kCache } served_from = ServedFrom::kSource;
};

/// Hears of one Acquire. Calls come one at a time from the engine's threads and must not block.
class AcquireObserver {
 public:
  virtual ~AcquireObserver() = default;
  virtual void OnResolving() = 0;
  virtual void OnFilling(const std::string& snapshot_id, const std::string& revision,
                         const fill::FillProgress& progress) = 0;
  /// The last call.
  virtual void OnDone(const Result<AcquiredTree>& outcome) = 0;
};

struct SyncRequest {
  std::chrono::system_clock::time_point epoch;
  struct Live {
    std::string lease_id;
    Holder holder;
    std::string tree;
  };
  std::vector<Live> live;
  std::vector<std::string> publishing_lease_ids;
  std::vector<std::string> pod_uids;
};
struct SyncOutcome {
  size_t dropped = 0, recreated = 0;
};

struct SnapshotView {
  store::Snapshot snapshot;
  std::vector<std::string> references;
  std::vector<Holder> leases;
  bool kept = false;
  std::optional<fill::FillProgress> filling;
};

struct StatView {
  Listing listing;  ///< all files
  std::string snapshot_id;
  struct File {
    ListedFile listed;
    bool present = false, selected = false;
  };
  std::vector<File> files;
  Bytes bytes_selected = 0, bytes_missing = 0, recommended_claim = 0;
};

struct VerifyRequest {
  std::string snapshot_id;                ///< empty: every blob
  std::optional<Bytes> bytes_per_second;  ///< 0: no limit; unset: EngineOptions::verify_rate
};
struct VerifyFinding {
  Digest blob;
  std::string found;
  std::vector<std::string> paths;
};
struct VerifySums {
  size_t blobs = 0, bad = 0;
  Bytes bytes = 0;
};

struct VerifyProgress {
  size_t blobs = 0, blobs_total = 0;
  Bytes bytes = 0, bytes_total = 0;
};
/// Hears of one Verify, on the thread that called it. False stops it.
struct VerifyObserver {
  std::function<bool(const VerifyFinding&)> on_finding;
  std::function<bool(const VerifyProgress&)> on_progress;  ///< may be unset; five times a second
};

/// Since the start, over all that reads blobs again.
struct IntegrityCounters {
  uint64_t blobs_verified = 0, bytes_verified = 0, blobs_bad = 0;
};
struct ScrubView {
  Bytes daily_bytes = 0;  ///< 0: it is off
  Bytes bytes_today = 0;
  std::chrono::system_clock::time_point last_pass;  ///< its end; the epoch: none yet
  uint64_t failures = 0;                            ///< bad blobs, since the cache was made
};
/// How sound the cache is.
struct IntegrityView {
  /// Pods that have a file mounted that proved bad, until their lease ends.
  struct Damaged {
    Holder holder;
    std::string snapshot_id;
    std::string tree;
  };
  std::vector<Damaged> damaged;
  store::QuarantineSums quarantine;
  IntegrityCounters counters;
  ScrubView scrub;
};

/// How it stands with a model of EngineOptions::keep.
struct KeepView {
  std::string model;
  std::string snapshot_id;  ///< complete and kept; empty: none yet
  std::string problem;      ///< why it isn't what its source has now; empty: it is, or is filled
};

struct EngineInfo {
  std::string root, root_id, write_engine, fallback_reason;
  uint64_t root_device = 0, root_inode = 0;
  uint32_t uid = 0;
  size_t fills_active = 0;
  Bytes bytes_fetched = 0;
  std::vector<fill::HostConnections> hosts;  ///< that files came from lately
  store::Contents contents;
  std::vector<store::HoldRecord> holds;
  size_t refused_for_space = 0;  ///< publishes that wait for room
  std::chrono::system_clock::time_point started;
  IntegrityView integrity;
  std::vector<KeepView> keep;
};

/// The cache without its wire: everything that cache.proto offers. Used by the daemon's `api/` and,
/// with `--root`, inside the CLI. Thread-safe. Destroying it ends the fills (what is committed
/// stays) and the observers' calls.
class Engine {
 public:
  /// Opens the store (see Store::Open for the errors) and starts the threads.
  static Result<std::unique_ptr<Engine>> Open(const EngineOptions& options);
  virtual ~Engine() = default;

  /// Returns at once; `observer` hears the rest for as long as it lives. The fill goes on without
  /// it.
  virtual void Acquire(AcquireRequest request, std::weak_ptr<AcquireObserver> observer) = 0;
  virtual Result<> Release(const std::string& lease_id) = 0;
  virtual Result<SyncOutcome> SyncLeases(const SyncRequest& request) = 0;
  /// Blocks while the source is asked; returns the snapshot's id once its fill has begun, or
  /// nothing where only layers that are read now tell which files it has.
  virtual Result<std::string> Prefetch(const ModelReference& model,
                                       const Credentials& credentials) = 0;
  /// Keeps room for a volume until the first Acquire with a lease for it that succeeds,
  /// DeleteVolume, or the timeout, and begins the model's fill. What is bounded is the wait for the
  /// source: until `request.deadline`; the disk takes as long as it takes. kAborted: not in time,
  /// but calling again goes on; kUnavailable: the source is away, and these credentials were not
  /// seen to have the right to what is known here.
  /// Where other credentials than the caller's may see the model, room for the snapshot that it is
  /// known to have meant, else for the bytes asked for, is kept, and nothing begun. kOutOfRange:
  /// larger than limit_bytes; kResourceExhausted: no room, or not cached; nothing stays of it. The
  /// same request again is answered the same; kAlreadyExists: the volume's is another.
  virtual Result<store::VolumeRecord> CreateVolume(const VolumeRequest& request) = 0;
  /// Unknown: fine.
  virtual Result<> DeleteVolume(const std::string& volume_id) = 0;
  /// kNotFound where it was never created here, or is remembered no more.
  virtual Result<store::VolumeRecord> GetVolume(const std::string& volume_id) const = 0;
  /// Answered from memory. What isn't known is asked of the source afterwards.
  virtual Result<ModelFit> FitOf(const FitRequest& request) = 0;
  struct EvictOutcome {
    size_t snapshots = 0;
    Bytes bytes = 0;
  };
  /// One snapshot by id, or every idle one that a reference (with or without revision) names.
  virtual Result<EvictOutcome> Evict(const std::string& snapshot_id, const std::string& model) = 0;
  /// Removes what is in quarantine; returns the bytes freed. kFailedPrecondition while pods have
  /// damaged files mounted.
  virtual Result<Bytes> EvictQuarantine() = 0;
  virtual std::vector<SnapshotView> List() const = 0;
  /// What pods' publishes wait for, oldest first, and those that ended in the last two minutes.
  virtual std::vector<PublishView> Publishes() = 0;
  /// As Store::UsageOfSnapshots.
  virtual store::Usage Usage() const = 0;
  /// Blocks while the source is asked.
  virtual Result<StatView> Stat(const ModelReference& model, const Credentials& credentials) = 0;
  /// Blocks while it reads; bad blobs are quarantined, and public ones fetched again. Stopped:
  /// kCancelled.
  virtual Result<VerifySums> Verify(const VerifyRequest& request, const VerifyObserver& observer,
                                    std::stop_token stop) = 0;
  virtual Result<store::SpaceSums> Capacity() const = 0;
  /// Takes over what can change while it runs: store.limit and store.min_free; connections,
  /// connections_per_host, bandwidth_limit and warm of `fill`; hold_timeout;
  /// transport.stall_timeout; all that says which sources and models may be used, and hub_offline;
  /// keep; rights. Everything else stays as it was at Open. Evicts nothing. One call at a time.
  virtual Result<> Reconfigure(const EngineOptions& options) = 0;
  /// As Store::EvictToFit.
  virtual Result<store::EvictedToFit> EvictToFit(store::FitTo fit_to) = 0;
  virtual Result<EngineInfo> Info() const = 0;
  /// Blocks, at most for `patience`, until the event loop has run a task; kDeadlineExceeded if it
  /// hasn't.
  virtual Result<> CheckAnswers(std::chrono::milliseconds patience) = 0;
};

}  // namespace weighhouse
