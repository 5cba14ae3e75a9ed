#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/mutex.h"
#include "proto/cache.grpc.pb.h"

namespace weighhouse::agent {

/// The cache daemon on its watch socket: a thread follows WatchPublishes and calls again when that
/// ends, and keeps the newest answer until it is taken. Thread-safe.
class DaemonWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Begins at once, whether the daemon is there or not.
  explicit DaemonWatch(const std::string& socket);
  ~DaemonWatch();

  /// The newest publishes, if they came since the last call; else waits for them until `until` or a
  /// stop, and returns nothing then.
  std::optional<cache::v1::PublishesUpdate> Wait(Time until, const std::stop_token& stop)
      EXCLUDES(mutex_);
  /// Those that came since the last call; doesn't wait.
  std::optional<cache::v1::PublishesUpdate> Poll() EXCLUDES(mutex_);

  /// What the cache holds, within ten seconds. kUnavailable without a daemon, kCancelled once
  /// stopped.
  Result<cache::v1::ListResponse> List(const std::stop_token& stop);

 private:
  void Run(const std::stop_token& stop);
  /// One call, to its end; returns why it ended. `told` becomes true with the first answer.
  Error Follow(const std::stop_token& stop, bool& told);

  const std::string socket_;
  const std::unique_ptr<cache::v1::Cache::Stub> stub_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::optional<cache::v1::PublishesUpdate> newest_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace weighhouse::agent
