#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/mutex.h"
#include "base/worker_pool.h"
#include "csi/daemon_client.h"
#include "csi/shared_answer.h"
#include "csi/volume_disk.h"

namespace weighhouse::csi {

/// Whether the daemon is there and works in the directory that we see as the cache root, asked and
/// compared once for all publishes that want to know meanwhile. Thread-safe.
class RootChecks {
 public:
  using Done = std::function<void(const Result<>&)>;
  /// All outlive it.
  RootChecks(const VolumeDisk& disk, DaemonClient& daemon, WorkerPool& workers);

  /// Calls `done` once, on a worker, with a comparison that was begun since Start; kUnavailable as
  /// of DaemonClient::Info and VolumeDisk::CheckCacheRoot. Who has less than ten seconds asks
  /// alone, and the daemon has `timeout` to answer. Others share the question, and may have to wait
  /// for the one that is under way first: where the daemon is away, for twice the client's
  /// patience.
  std::shared_ptr<DaemonCall> Check(std::chrono::milliseconds timeout, Done done);

  /// Breaks off the question that nobody waits for any more: it would outlive those who asked.
  /// Once they have ended, and before the workers are destroyed.
  void Stop() EXCLUDES(mutex_);

 private:
  void AskForAll(const Done& done) EXCLUDES(mutex_);
  /// What the daemon says of its root against what we see, on a worker.
  void Compare(const Result<cache::v1::InfoResponse>& info, const Done& done);

  const VolumeDisk& disk_;
  DaemonClient& daemon_;
  WorkerPool& workers_;
  SharedAnswer<> shared_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::shared_ptr<DaemonCall> last_call_ GUARDED_BY(mutex_);  ///< for all
  int pending_ GUARDED_BY(mutex_) = 0;                        ///< such calls that have not ended
  bool stopped_ GUARDED_BY(mutex_) = false;
};

}  // namespace weighhouse::csi
