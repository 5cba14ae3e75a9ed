#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/worker_pool.h"
#include "cache-daemon/api/configuration_status.h"
#include "cache-daemon/api/publish_watch.h"
#include "cache-daemon/api/recent_error.h"
#include "cache-daemon/engine/engine.h"

namespace grpc {
class Service;
}

namespace weighhouse::api {

/// Which calls a socket serves.
enum class Access {
  kNode,   ///< Acquire, Release, SyncLeases, CreateVolume, DeleteVolume, GetVolume, Capacity and
           ///< Info: what the CSI plugin needs.
  kWatch,  ///< WatchPublishes, List and Info: what only looks.
  kAdmin,  ///< Everything.
  kNone,   ///< Nothing: where a peer that may not come in reads why.
};

/// The threads on which calls run that may block, so that none of gRPC's ever does.
struct Workers {
  /// Touches names on the disk: Release, SyncLeases, DeleteVolume, GetVolume, Capacity, List, Info.
  WorkerPool brief{"api-brief", 2};
  /// Waits for a source, but not for long, and evicts: CreateVolume.
  WorkerPool volume{"api-volume", 8};
  WorkerPool source{"api-source",
                    4};  ///< waits for a source or removes much: Stat, Prefetch, Evict
  WorkerPool verify{"api-verify",
                    1};  ///< reads whole blobs: one Verify at a time, the disk is shared
};

/// weighhouse.cache.v1.Cache over an engine: checks and translates, decides nothing. Thread-safe.
/// The engine, the workers and the watch outlive the gRPC server that serves it: a call whose
/// worker is gone would never end.
struct CacheServiceOptions {
  Access access = Access::kNode;
  std::string refusal;       ///< for kNone: what a peer is told
  std::stop_token draining;  ///< once requested, streams break off and new calls get kUnavailable
  ConfigurationStatusSource configuration;    ///< for Info
  RecentErrorSource recent_errors = nullptr;  ///< for Info
  metrics::CallMetrics metrics;
};
std::unique_ptr<grpc::Service> CreateCacheService(Engine& engine, Workers& workers,
                                                  PublishWatch& watch, CacheServiceOptions options);

}  // namespace weighhouse::api
