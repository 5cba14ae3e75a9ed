#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/api/configuration_status.h"
#include "cache-daemon/daemon/config_source.h"
#include "cache-daemon/daemon/config_watch.h"
#include "cache-daemon/engine/engine.h"

namespace weighhouse::daemon {

/// Keeps an engine to what the configuration file says, on a thread of its own: reads it again when
/// it changes, takes over what can be, and has the cache evict to a limit that was lowered, for as
/// long as what is over it is in use. A file that is wrong changes nothing. Thread-safe. Destroying
/// it ends the thread.
class ConfigReloader {
 public:
  /// What the daemon began with.
  struct Begun {
    ConfigSource source;
    std::optional<std::string> text;  ///< the file's; nothing: there was none
    Reading reading;
    bool shared = false;  ///< Placement::shared, which stays what it was
  };
  /// `engine` was opened with what was begun with, and outlives it.
  static Result<std::unique_ptr<ConfigReloader>> Start(Engine& engine, Begun begun,
                                                       metrics::ConfigurationMetrics metrics);

  api::ConfigurationStatus Status() const EXCLUDES(mutex_);

 private:
  /// What was found at the file's place.
  struct Found {
    std::optional<std::string> text;  ///< nothing: it is absent, and may be, or can't be read
    std::string error;                ///< why it can't be read
    bool operator==(const Found&) const = default;
  };
  ConfigReloader(Engine& engine, Begun begun, metrics::ConfigurationMetrics metrics,
                 std::unique_ptr<ConfigWatch> watch);

  void Run(const std::stop_token& stop);
  Found Read() const;
  /// Reads the file again if it is another one now, once it no longer changes.
  void Look(const std::stop_token& stop) EXCLUDES(mutex_);
  Result<> TakeOver(const Reading& reading) EXCLUDES(mutex_);
  /// Names the warnings of what is in effect.
  void Warn(const Reading& reading) EXCLUDES(mutex_);
  void Refuse(const std::string& error) EXCLUDES(mutex_);
  void Fit(store::FitTo fit_to);

  Engine& engine_;
  const ConfigSource source_;
  const metrics::ConfigurationMetrics metrics_;

  const bool shared_;

  // Owned by the thread.
  const std::unique_ptr<ConfigWatch> watch_;
  Found found_;
  bool was_there_ = false;        ///< the file: it may not go away
  config::ConfigValues running_;  ///< in effect
  bool over_limit_ = false;       ///< because it is in use, or couldn't be removed

  mutable Mutex mutex_;
  api::ConfigurationStatus status_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace weighhouse::daemon
