#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <stop_token>
#include <vector>

#include "base/mutex.h"
#include "base/worker_pool.h"
#include "cache-daemon/fill/bandwidth_limit.h"
#include "cache-daemon/fill/buffer_budget.h"
#include "cache-daemon/fill/connection_governor.h"
#include "cache-daemon/fill/filler.h"
#include "cache-daemon/fill/hash_queue.h"
#include "cache-daemon/fill/retry.h"

namespace weighhouse::fill {

/// Counts operations that other threads still have to report, so that shutting down can wait for
/// them. Thread-safe.
class OperationCounter {
 public:
  void Begin() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    ++running_;
  }
  void End() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (--running_ == 0) idle_.NotifyAll();
  }
  void WaitUntilIdle() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    while (running_ > 0) idle_.Wait(lock);
  }

 private:
  Mutex mutex_;
  ConditionVariable idle_;
  size_t running_ GUARDED_BY(mutex_) = 0;
};

class FileAssembly;
class Warmer;

/// What the fills of one Filler share. What isn't marked otherwise is used on the transport's
/// strand only. Held by shared_ptr, because tasks that are still queued in the transport outlive
/// the Filler.
struct FillContext : std::enable_shared_from_this<FillContext> {
  FillContext(FillerOptions fill_options, const Filler::Parts& fill_parts)
      : options(fill_options),
        parts(fill_parts),
        budget(fill_parts.buffers.count(), fill_options.max_active_files),
        governor({.total = fill_options.connections, .per_host = fill_options.connections_per_host},
                 fill_parts.clock, [this] { PostOffer(); }),
        bandwidth(fill_options.bandwidth_limit, fill_parts.clock,
                  [this](std::chrono::milliseconds delay) { PostBandwidth(delay); }),
        stall_timeout(fill_options.stall_timeout) {}

  /// How many bytes beyond their files' heads all ranges may begin: more would find no buffers.
  Bytes WindowBytes() const { return parts.buffers.count() * parts.buffers.buffer_size() / 4 * 3; }

  /// How long to wait after `failures` in a row (NextDelay).
  std::optional<std::chrono::milliseconds> DelayAfter(const Error& error, int failures) {
    return NextDelay(error, failures,
                     {.max_attempts = options.max_attempts,
                      .backoff_start = options.backoff_start,
                      .backoff_limit = options.backoff_limit},
                     std::uniform_real_distribution<double>(0.5, 1.0)(random));
  }

  const FillerOptions options;
  const Filler::Parts parts;
  BufferBudget budget;
  ConnectionGovernor governor;
  BandwidthLimit bandwidth;
  size_t active_files = 0;  ///< files that the buffers are shared between
  /// After this no task may touch `hashes` or `workers`: the Filler is going away.
  bool stopped = false;
  std::function<void()> on_buffers_freed;
  /// Bytes found no buffer since buffers were last freed.
  bool short_of_buffers = false;
  std::vector<std::weak_ptr<FileAssembly>> assemblies;
  /// Assemblies that found no reader's buffer, the longest waiting first.
  std::deque<std::weak_ptr<FileAssembly>> waiting_readers;
  std::minstd_rand random{std::random_device{}()};

  HashQueue* hashes = nullptr;       // any thread; the Filler owns it
  WorkerPool* workers = nullptr;     // any thread; the Filler owns it
  Warmer* warmer = nullptr;          // the Filler owns it; null: nothing is warmed
  std::stop_source stop;             // any thread
  OperationCounter disk_operations;  // any thread
  std::atomic<Bytes> bytes_fetched = 0;
  std::atomic<std::chrono::milliseconds> stall_timeout;  // as the option of that name, now

 private:
  void PostOffer() {
    parts.transport.Post([weak = weak_from_this()] {
      std::shared_ptr<FillContext> self = weak.lock();
      if (self && !self->stopped) self->governor.Offer();
    });
  }
  void PostBandwidth(std::chrono::milliseconds delay) {
    parts.transport.PostAfter(delay, [weak = weak_from_this()] {
      std::shared_ptr<FillContext> self = weak.lock();
      if (self && !self->stopped) self->bandwidth.Offer();
    });
  }
};

}  // namespace weighhouse::fill
