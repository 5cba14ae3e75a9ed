#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log_context.h"
#include "base/model.h"
#include "cache-daemon/fill/layer_request.h"
#include "cache-daemon/io/buffer_pool.h"
#include "cache-daemon/io/io_engine.h"
#include "cache-daemon/metrics/cache_metrics.h"
#include "cache-daemon/source/source.h"
#include "cache-daemon/source/transport.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::fill {

/// The connections to one host.
struct HostConnections {
  std::string host;             ///< such as "https://cdn.example.org"
  size_t connections = 0;       ///< in use now, over all fills
  size_t allowance = 0;         ///< as many as were found to be worth it by now
  double bytes_per_second = 0;  ///< what they bring now
};

struct FillProgress {
  Bytes bytes_total = 0;  ///< of the snapshot
  Bytes bytes_done =
      0;  ///< arrived, those present before included; goes back if a file must be fetched again
  Bytes bytes_fetched = 0;  ///< brought over the network so far, by this fill
  double bytes_per_second = 0;
  size_t files_total = 0;  ///< 0: the fill has not been promised its room yet
  size_t files_done = 0;
  size_t connections = 0;              ///< in use now
  std::vector<HostConnections> hosts;  ///< that its files come from now
  std::string waiting_for;             ///< why nothing moves; empty while it does
};

/// How a request came to its fill.
enum class FillEntry { kBegan, kJoined };

/// Hears of one fill. Calls come from the fill's thread and must not block.
class FillObserver {
 public:
  virtual ~FillObserver() = default;
  /// The first call.
  virtual void OnFillEntered(FillEntry) {}
  /// At most five times a second.
  virtual void OnFillProgress(const FillProgress& progress) = 0;
  /// The snapshot is complete in the store, or why it is not. The last call.
  virtual void OnFillDone(const Result<FillProgress>& outcome) = 0;
};

struct FillerOptions {
  size_t max_active_files = 8;       ///< files fetched at the same moment, over all fills
  size_t connections = 64;           ///< at the same moment, over all fills and hosts
  size_t connections_per_host = 32;  ///< at most; as many as bring more are used
  Bytes range_size = 8 * kMiB;       ///< at most; smaller where many connections share the buffers
  int max_attempts = 6;              ///< of one range without a piece of progress between them
  std::chrono::milliseconds backoff_start{500};
  std::chrono::milliseconds backoff_limit{8000};
  /// Where public origins share a fill, the one that is asked has this long to show its speed.
  std::chrono::milliseconds origin_window{10000};
  size_t hash_threads = 2;
  /// A file's written pieces give their buffers back unhashed when the hasher has waited so long
  /// for an earlier one. Sooner, the network would outrun the hasher and have it read back much.
  std::chrono::milliseconds release_after{100};
  bool warm = false;          ///< read what was filled ahead into the page cache
  Bytes bandwidth_limit = 0;  ///< bytes a second, over all fills; 0: none
  /// The transport's: LeastRate goes by it.
  std::chrono::milliseconds stall_timeout{30000};
  /// So many bytes of one file may have come that a crash would cost; more wait until what is
  /// written is recorded.
  Bytes most_at_risk = 160 * kMiB;
  bool operator==(const FillerOptions&) const = default;
};

/// What must be filled, and how to ask for it.
struct FillRequest {
  std::string snapshot_id;
  ModelReference reference;
  Listing listing;  ///< only the files of the snapshot
  Credentials credentials;
  std::shared_ptr<source::Source>
      source;  ///< shared with the engine: a fill outlives the call that began it
  /// Of the fill that it starts; joining one can only raise it.
  FillPriority priority = FillPriority::kWaitedFor;
  Bytes fetched_before = 0;                ///< for this snapshot, by the reading of its layers
  LogContext log = LogContext::Current();  ///< of who asks; the fill's lines are about the first

  metrics::SourceKind source_kind() const { return metrics::SourceKindOf(reference.Scheme()); }
};

/// Makes snapshots complete. Single flight: one fill per snapshot, one ingest per file content and
/// origin, or for all public origins together, whoever asks. A fill survives its observers.
/// Thread-safe. Destroying it ends the fills; what they committed stays.
class Filler {
 public:
  struct Parts {
    source::Transport& transport;
    io::IoEngine& io;
    io::BufferPool& buffers;
    /// What is read back from the disk to be hashed goes here: a few buffers, of the same size.
    io::BufferPool& read_buffers;
    store::Store& store;
    const Clock& clock;
    metrics::FillMetrics metrics;
  };
  static std::unique_ptr<Filler> Create(FillerOptions options, const Parts& parts);
  virtual ~Filler() = default;

  /// Starts or joins the fill of a snapshot that BeginSnapshot recorded. The observer is called
  /// while it lives.
  virtual void Fill(FillRequest request, std::weak_ptr<FillObserver> observer) = 0;
  /// Reads layers, as far as the store doesn't know what they hold: writes that down, has the
  /// snapshot begun that they turn out to be, and their files committed to it (not those of other
  /// layers, which are Fill's). Single flight: each layer is read once at a time. It goes on
  /// without those who asked; the observer, which hears nothing but its progress, is called while
  /// it lives.
  virtual void ReadLayers(LayerRequest request, std::weak_ptr<FillObserver> observer,
                          LayersDone done) = 0;
  /// Takes over what can change while it runs: connections, connections_per_host, bandwidth_limit,
  /// stall_timeout and warm. One call at a time.
  virtual void Reconfigure(const FillerOptions& options) = 0;
  /// Fills under way, over all snapshots, and the bytes they brought since the start.
  struct Activity {
    size_t fills = 0;
    Bytes bytes_fetched = 0;
    std::vector<HostConnections> hosts;  ///< that were asked lately
  };
  virtual Activity CurrentActivity() const = 0;
  /// The progress of one snapshot's fill, if there is one.
  virtual std::optional<FillProgress> ProgressOf(const std::string& snapshot_id) const = 0;
};

}  // namespace weighhouse::fill
