#pragma once

#include <chrono>
#include <string>

#include "base/mutex.h"
#include "cache-daemon/api/configuration_status.h"
#include "cache-daemon/api/status_document.h"
#include "cache-daemon/api/status_page.h"
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
    /// What a browser may do with it.
    std::string content_security_policy = "default-src 'none'; frame-ancestors 'none'";
  };
  struct Options {
    Details details = Details::kHidden;
    const Clock* clock = nullptr;  ///< outlives it; null: the machine's
  };
  explicit AdminPages(const metrics::Registry& registry) : AdminPages(registry, Options()) {}
  AdminPages(const metrics::Registry& registry, const Options& options)
      : registry_(registry),
        details_(options.details),
        clock_(options.clock != nullptr ? *options.clock : machines_clock_),
        page_(MakePage()) {}

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
  Details details() const { return details_; }
  /// The page for people; always the same.
  Page StatusPage() { return page_; }
  /// What it shows, at most kStatusAge old: however many ask, the engine is asked for its lists
  /// once a second.
  Page Status() EXCLUDES(mutex_);
  static constexpr std::chrono::milliseconds kStatusAge{1000};

 private:
  class Use;
  static Page MakePage();
  /// Of a daemon that serves.
  std::string MakeStatus(const Use& use) const;

  const metrics::Registry& registry_;
  const Details details_;
  const SystemClock machines_clock_;
  const Clock& clock_;
  const Page page_;
  Mutex mutex_;
  ConditionVariable unused_;
  Phase phase_ GUARDED_BY(mutex_) = Phase::kStarting;
  Engine* engine_ GUARDED_BY(mutex_) = nullptr;
  ConfigurationStatusSource configuration_ GUARDED_BY(mutex_);
  size_t uses_ GUARDED_BY(mutex_) = 0;
  std::string status_ GUARDED_BY(mutex_);  ///< empty: none was made, or it counts no more
  std::chrono::steady_clock::time_point status_made_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::api
