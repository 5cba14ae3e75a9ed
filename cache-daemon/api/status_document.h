#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cache-daemon/api/configuration_status.h"
#include "cache-daemon/engine/engine.h"
#include "cache-daemon/metrics/history.h"

/// The document of /api/v1/status, whose schema is docs/schemas/http/status.json. Pure.
namespace weighhouse::api {

/// Whether it names models, and the namespaces and pods that use them: whoever reaches the admin
/// port may read it. Credentials are never in it.
enum class Details { kHidden, kShown };

/// What a daemon that serves has to say at one moment.
struct StatusView {
  EngineInfo info;
  store::SpaceSums space;
  std::vector<SnapshotView> snapshots;
  std::optional<ConfigurationStatus> configuration;
  metrics::History::View evicted;
};

/// Where a daemon stands, between its start and its end.
enum class Phase { kStarting, kServing, kStopping };

/// Everything; of snapshots and holds at most kMostListed each: what is being filled, then what was
/// used last.
std::string StatusDocument(StatusView view, Details details,
                           std::chrono::system_clock::time_point now);
/// Of a daemon that can't say more. `problem`: why it can't although it serves; empty: it doesn't.
std::string BareStatusDocument(Phase phase, const std::string& problem, Details details,
                               std::chrono::system_clock::time_point now);

inline constexpr size_t kMostListed = 200;

}  // namespace weighhouse::api
