#pragma once

#include <chrono>
#include <string>

#include "base/mutex.h"
#include "cache-daemon/api/configuration_status.h"
#include "cache-daemon/engine/engine.h"
#include "cache-daemon/metrics/registry.h"

namespace weighhouse::api {

/// What the admin port shows of the daemon, from before its engine is open until after it has
/// ended. Thread-safe. The registry outlives it.
class AdminPages {
 public:
  struct Page {
    int status = 200;  ///< of HTTP
    std::string text;
  };
  explicit AdminPages(const metrics::Registry& registry) : registry_(registry) {}

  /// The engine is open and its calls are served: ready from now on.
  void Attach(Engine& engine, ConfigurationStatusSource configuration) EXCLUDES(mutex_);
  /// The daemon stops: not ready any more. Returns once no page uses what was attached.
  void Detach() EXCLUDES(mutex_);

  /// What was counted, and the gauges of the engine, if there is one.
  Page Metrics() EXCLUDES(mutex_);
  /// 200 while the process works: while there is an engine, its event loop answers.
  Page Healthz() EXCLUDES(mutex_);
  /// 200 while the store is recovered, can be read, and calls are served; else 503 with the reason.
  Page Readyz() EXCLUDES(mutex_);

 private:
  class Use;
  enum class Phase { kStarting, kServing, kStopping };

  const metrics::Registry& registry_;
  Mutex mutex_;
  ConditionVariable unused_;
  Phase phase_ GUARDED_BY(mutex_) = Phase::kStarting;
  Engine* engine_ GUARDED_BY(mutex_) = nullptr;
  ConfigurationStatusSource configuration_ GUARDED_BY(mutex_);
  size_t uses_ GUARDED_BY(mutex_) = 0;
};

}  // namespace weighhouse::api
