#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/log_context.h"
#include "base/model.h"
#include "base/mutex.h"
#include "base/worker_pool.h"
#include "csi/daemon_client.h"
#include "csi/flights.h"
#include "csi/progress.h"
#include "csi/published.h"
#include "csi/root_checks.h"
#include "csi/shared_answer.h"
#include "csi/target_path.h"
#include "csi/volume_context.h"
#include "csi/volume_disk.h"
#include "csi/volume_locks.h"

namespace weighhouse::csi {

/// A publish, checked as far as its words go.
struct PublishOrder {
  std::string volume_id;
  TargetPath target;
  VolumeContext context;
  Credentials credentials;
  bool readonly = false;
  bool single_writer = false;
  int access_mode = 0;  ///< as on the wire

  /// Equal for requests that ask for the same at the same place; credentials don't count.
  std::string Fingerprint() const;
  VolumeAccess Access() const;
};

/// How long the end of a lease is waited for: what takes longer, the next comparison settles.
inline constexpr std::chrono::milliseconds kReleasePatience{2'000};

/// What publishes work with; all outlive every flight.
struct PublishTools {
  VolumeDisk& disk;
  DaemonClient& daemon;
  PublishedTable& published;
  Flights& flights;
  WorkerPool& workers;  ///< for what blocks on system calls
  SharedAnswer<MountLook>& looks;
  RootChecks& root_checks;
  /// Called when a mount turned out to lack its lease.
  std::function<void()> reconcile;
};

/// One NodePublishVolume under way. Steps, each on a worker or on a gRPC thread, never two at once:
///
///   Look ── Prepare ── is something mounted there? ──▶ Replay (the publish was done before)
///              └──▶ AskDaemon ──▶ Acquire ──(minutes)──▶ Mount ──▶ End
///
/// Holds no thread while it waits. Before it ends with a code that kubelet takes as final, it
/// undoes what any call for this target made, unless our volume is mounted there: nobody will
/// unpublish it. Kept alive by its pending step.
class PublishFlight final : public Interruptible,
                            public std::enable_shared_from_this<PublishFlight> {
 public:
  using Done = std::function<void(Result<>)>;
  /// `hold` is how long it may wait.
  PublishFlight(PublishTools& tools, PublishOrder order, std::chrono::milliseconds hold, Done done);

  /// Begins; the guard is freed before `done` is called.
  void Start(VolumeLocks::Guard guard);
  /// Ends with `error` at once, after undoing what earlier calls left.
  void Refuse(VolumeLocks::Guard guard, Error error);

  /// Ends the waiting. Once mounting has begun it runs to its end.
  void Interrupt(Interruption reason) override EXCLUDES(mutex_);

 private:
  void Look();
  void Prepare(const Result<MountLook>& look);
  Result<> CheckSingleWriter(const MountLook& look) const;
  void Replay(const VolumeMounts::Found& found);
  void OnReplayed(const std::string& tree, const Result<cache::v1::Ready>& ready);
  void AskDaemon();
  void Acquire(std::chrono::milliseconds timeout, bool mounted,
               DaemonClient::Done<cache::v1::Ready> done);
  void OnAcquired(Result<cache::v1::Ready> ready);
  void Mount(const cache::v1::Ready& ready);
  void Record(const std::string& tree, const cache::v1::Ready* ready);

  /// Makes `call` the one to cancel and starts it; ends the flight if it was interrupted.
  void StartCall(std::shared_ptr<DaemonCall> call) EXCLUDES(mutex_);
  void Post(std::function<void()> step);
  std::optional<Error> Interrupted() const EXCLUDES(mutex_);
  cache::v1::AcquireRequest MakeRequest() const;
  Error WaitedTooLong() const EXCLUDES(mutex_);
  std::chrono::milliseconds TimeLeft() const;

  void End(Result<> outcome);
  void Undo(Error error);
  bool MayBeMounted() const;
  void Complete(Result<> outcome);

  PublishTools& tools_;
  const PublishOrder order_;
  const LogContext log_;
  const std::chrono::steady_clock::time_point started_;
  const std::chrono::steady_clock::time_point hold_until_;
  Done done_;
  std::optional<VolumeLocks::Guard> guard_;
  bool registered_ = false;
  bool mounted_ = false;  ///< our volume is at the target
  CacheMount cache_;      ///< as Prepare saw it

  mutable Mutex mutex_;
  Interruption interruption_ GUARDED_BY(mutex_) = Interruption::kNone;
  std::shared_ptr<DaemonCall> call_ GUARDED_BY(mutex_);
  Progress progress_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::csi
