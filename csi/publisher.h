#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/worker_pool.h"
#include "csi/flights.h"
#include "csi/publish_flight.h"
#include "csi/volume_locks.h"

namespace weighhouse::csi {

/// Publishes and unpublishes volumes. Thread-safe. `Stop` and `WaitUntilIdle` before it is
/// destroyed.
class Publisher {
 public:
  using Done = std::function<void(Result<>)>;
  struct Settings {
    std::chrono::milliseconds margin;      ///< answer this long before the caller's deadline
    std::chrono::milliseconds hold_limit;  ///< but wait no longer than this
    /// How long an unpublish waits for a publish of the same target that is just mounting.
    std::chrono::milliseconds unpublish_patience{10'000};
  };
  /// `reconcile` is called from any thread when mounts and leases should be compared soon.
  Publisher(Settings settings, VolumeDisk& disk, DaemonClient& daemon, PublishedTable& published,
            std::function<void()> reconcile);
  ~Publisher() { root_checks_.Stop(); }

  /// Mounts the order's model at its target, waiting for it if need be; `remaining` is left of the
  /// caller's deadline. The returned handle may interrupt it (null if it has ended already).
  /// kAborted at once if another publish of the volume or the target is under way.
  std::shared_ptr<Interruptible> Publish(PublishOrder order, std::chrono::milliseconds remaining,
                                         Done done);
  /// Answers `error` to a publish whose words were wrong, after undoing what earlier publishes of
  /// the target left.
  void Refuse(std::string volume_id, TargetPath target, Error error, Done done);
  /// Ends a waiting publish of the target, takes its mounts and directory away and releases its
  /// lease. Nothing there is OK, and so is a daemon that doesn't answer.
  void Unpublish(TargetPath target, Done done);

  Flights& flights() { return flights_; }
  /// Waiting publishes end with kUnavailable, and so do new ones.
  void Stop() { flights_.Stop(); }
  bool WaitUntilIdle(std::chrono::steady_clock::time_point deadline) {
    return flights_.WaitUntilEmpty(deadline);
  }

 private:
  void RunUnpublish(const TargetPath& target, const Done& done);

  const Settings settings_;
  PublishedTable& published_;
  VolumeDisk& disk_;
  DaemonClient& daemon_;
  VolumeLocks locks_;
  Flights flights_;
  SharedAnswer<MountLook> looks_;
  RootChecks root_checks_;
  PublishTools tools_;
  WorkerPool unpublish_workers_{"unpublish", 4};
  WorkerPool publish_workers_{"publish", 4};
};

}  // namespace weighhouse::csi
