#pragma once

#include <memory>

#include <grpcpp/server_builder.h>

#include "base/clock.h"
#include "csi/controller.h"
#include "csi/daemon_client.h"
#include "csi/identity.h"
#include "csi/node.h"
#include "csi/options.h"
#include "csi/protections.h"
#include "csi/published.h"
#include "csi/publisher.h"
#include "csi/reconciler.h"
#include "csi/volume_disk.h"
#include "csi/volume_stats.h"

namespace weighhouse::csi {

/// The plugin's parts, put together over a Mounter: what main runs and tests drive.
class Plugin {
 public:
  /// `mounter` outlives the plugin. `patience`: how long to wait for a daemon that is starting.
  Plugin(const Options& options, Mounter& mounter, Protections& protections,
         std::chrono::milliseconds patience);

  /// Has the server that `builder` makes answer all of CSI's calls; the plugin outlives it.
  void RegisterAt(grpc::ServerBuilder& builder);

  Reconciler& reconciler() { return reconciler_; }
  Publisher& publisher() { return publisher_; }

  /// Whether what is mounted for pods would reach the host; kUnavailable says how to mend it.
  Result<> CheckKubeletRoot() const { return disk_.CheckKubeletRoot(); }

 private:
  SystemClock clock_;
  PublishedTable published_;
  VolumeDisk disk_;
  DaemonClient daemon_;
  Publisher publisher_;
  Reconciler reconciler_;
  VolumeStats stats_;
  IdentityService identity_;
  ControllerService controller_;
  NodeService node_;
};

}  // namespace weighhouse::csi
