#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "cache-daemon/api/update_stream.h"
#include "cache-daemon/engine/engine.h"
#include "proto/cache.pb.h"

namespace weighhouse::api {

/// Tells those who watch what pods' publishes wait for: each at once, then whenever that changed,
/// once a second at most. A watcher who is slow to read gets the newest state when it does. Looks
/// at the engine on a thread of its own, and only while somebody watches. Thread-safe. The engine
/// outlives it.
class PublishWatch {
 public:
  using Stream = UpdateStream<cache::v1::PublishesUpdate>;
  static constexpr size_t kMostWatchers = 8;
  static constexpr std::chrono::seconds kPause{1};

  explicit PublishWatch(Engine& engine);
  ~PublishWatch();

  /// Feeds the stream, which has begun, until it ends. kResourceExhausted: too many watch.
  Result<> Add(const std::shared_ptr<Stream>& stream) EXCLUDES(mutex_);

 private:
  using Time = std::chrono::steady_clock::time_point;
  /// Shared by the watchers who got it.
  using Text = std::shared_ptr<const std::string>;
  struct Watcher {
    std::weak_ptr<Stream> stream;  // gone once gRPC is done with the call
    Time due;                      // it may be sent something from then on
    Text sent;                     // null: nothing yet
  };

  void Run() EXCLUDES(mutex_);
  /// Waits until a watcher may be sent something. False: the end.
  bool AwaitDue() EXCLUDES(mutex_);
  void DropGone() REQUIRES(mutex_);
  /// Those who may be sent something, and have something else than `now`.
  std::vector<std::shared_ptr<Stream>> TakeDue(const Text& now) EXCLUDES(mutex_);

  Engine& engine_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::vector<Watcher> watchers_ GUARDED_BY(mutex_);
  bool ending_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace weighhouse::api
