#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/mutex.h"
#include "csi/daemon_client.h"
#include "csi/flights.h"
#include "csi/protections.h"
#include "csi/published.h"
#include "csi/volume_disk.h"

namespace weighhouse::csi {

/// Tells the daemon what this node's mounts prove: which leases live, and which pods are gone. Its
/// own thread runs it at start, every `interval`, when kicked, and soon again after a failure.
///
/// Order matters. The epoch is taken first and the watch over publishes lies around the reading of
/// mountinfo, so a lease is only reported missing if it is older than all we read: a publish that
/// ends in between shows up as a mount or as a publish in flight. Nothing is sent while mounts
/// don't reach the host, the kubelet root can't be read or the daemon works in another root: what
/// we would then report missing may well be alive.
class Reconciler {
 public:
  struct Parts {
    std::string kubelet_root;
    const VolumeDisk& disk;
    DaemonClient& daemon;
    PublishedTable& published;
    Flights& flights;
    Protections& protections;
    const Clock& clock;
  };
  explicit Reconciler(const Parts& parts) : parts_(parts) {}
  ~Reconciler();

  /// One round; not from two threads at once.
  Result<> RunOnce();
  void StartThread(std::chrono::milliseconds interval);
  /// Asks for a round soon. From any thread, also before StartThread.
  void Kick() EXCLUDES(mutex_);

 private:
  void Loop(const std::stop_token& stop, std::chrono::milliseconds interval);
  void WaitForNext(const std::stop_token& stop, std::chrono::milliseconds wait) EXCLUDES(mutex_);
  Result<std::vector<VolumeMounts::Volume>> ReadVolumes(const RootDirectory& kubelet_root) const;
  Result<std::vector<std::string>> ListPods(const RootDirectory& kubelet_root) const;
  void AddLive(const RootDirectory& kubelet_root, const VolumeMounts::Volume& volume,
               cache::v1::SyncLeasesRequest& request) const;
  Result<> CheckDaemonRoot() const;
  Result<> Send(cache::v1::SyncLeasesRequest request) const;

  const Parts parts_;
  Mutex mutex_;
  ConditionVariable changed_;
  bool kicked_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace weighhouse::csi
