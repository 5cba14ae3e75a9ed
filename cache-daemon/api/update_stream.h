#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include "base/mutex.h"

namespace weighhouse::api {

/// One server stream of the callback API that any thread may feed. gRPC allows one operation at a
/// time, so updates wait in a queue and at most one write is in flight; the end comes after the
/// last update. When the caller leaves or the server drains, what waits is dropped and the stream
/// ends.
///
/// Thread-safe. Owned by itself from `Begin` until gRPC's OnDone: shared_ptr, because gRPC holds a
/// plain pointer while the threads that feed it may come and go at any moment.
template <class Update>
class UpdateStream final : public grpc::ServerWriteReactor<Update>,
                           public std::enable_shared_from_this<UpdateStream<Update>> {
 public:
  static constexpr size_t kQueueLimit = 64;

  /// `on_end` hears the status that the caller gets, just before it does.
  using OnEnd = std::function<void(const grpc::Status&)>;
  explicit UpdateStream(OnEnd on_end) : on_end_(std::move(on_end)) {}

  /// Keeps the stream, and `feeder` with it, alive until gRPC is done with it; `draining` breaks it
  /// off with kUnavailable. Once, before the stream is handed to gRPC.
  void Begin(std::stop_token draining, std::shared_ptr<void> feeder = nullptr) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      self_ = this->shared_from_this();
    }
    feeder_ = std::move(feeder);
    on_drain_.emplace(std::move(draining), [this] {
      left_.request_stop();
      Break({grpc::StatusCode::UNAVAILABLE, "the cache daemon is stopping: try again"});
    });
  }

  /// Says that nobody waits for more: the caller has gone or the server drains.
  std::stop_token Left() const { return left_.get_token(); }

  /// Sends `update` in place of those that still wait.
  void SendNewest(Update update) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      if (end_) return;
      queue_.clear();
      queue_.push_back(std::move(update));
    }
    Pump();
  }

  /// Sends `update` after those that wait; while too many do, waits for a slow reader. False once
  /// the stream has ended.
  bool SendInOrder(Update update) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      while (!end_ && queue_.size() >= kQueueLimit) changed_.Wait(lock);
      if (end_) return false;
      queue_.push_back(std::move(update));
    }
    Pump();
    return true;
  }

  /// Ends the stream after what waits. The first end counts.
  void End(grpc::Status status) EXCLUDES(mutex_) { EndWith(std::move(status), /*drop=*/false); }

  /// Ends the stream at once: what waits is dropped.
  void Break(grpc::Status status) EXCLUDES(mutex_) { EndWith(std::move(status), /*drop=*/true); }

  void OnWriteDone(bool ok) final EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      busy_ = false;
    }
    if (!ok) return Break({grpc::StatusCode::CANCELLED, "the caller has gone"});
    Pump();
  }

  void OnCancel() final {
    left_.request_stop();
    Break({grpc::StatusCode::CANCELLED, "the caller has gone"});
  }

  void OnDone() final EXCLUDES(mutex_) {
    left_.request_stop();
    std::shared_ptr<UpdateStream> self;
    MutexLock lock(mutex_);
    self.swap(self_);
    // `self` outlives `lock` (reverse order of destruction), and may be the last to hold this
    // object.
  }

 private:
  void EndWith(grpc::Status status, bool drop) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      if (drop) queue_.clear();
      if (!end_ || (drop && !finished_)) end_ = std::move(status);
    }
    changed_.NotifyAll();
    Pump();
  }

  /// Starts the next operation unless one is under way. Whoever sets `busy_` or `finished_` under
  /// the lock makes the call outside of it: gRPC can't be done with the stream before.
  void Pump() EXCLUDES(mutex_) {
    std::optional<grpc::Status> finish;
    bool write = false;
    {
      MutexLock lock(mutex_);
      if (busy_ || finished_) return;
      if (!queue_.empty()) {
        in_flight_ = std::move(queue_.front());
        queue_.pop_front();
        busy_ = write = true;
      } else if (end_) {
        finished_ = true;
        finish = end_;
      }
    }
    changed_.NotifyAll();
    if (write) this->StartWrite(&in_flight_);
    if (!finish) return;
    on_end_(*finish);
    this->Finish(*finish);
  }

  const OnEnd on_end_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::deque<Update> queue_ GUARDED_BY(mutex_);
  std::optional<grpc::Status> end_ GUARDED_BY(mutex_);
  bool busy_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
  std::shared_ptr<UpdateStream> self_ GUARDED_BY(mutex_);
  Update in_flight_;  // belongs to the write under way: whoever set busy_
  std::shared_ptr<void> feeder_;
  std::stop_source left_;
  std::optional<std::stop_callback<std::function<void()>>> on_drain_;
};

}  // namespace weighhouse::api
