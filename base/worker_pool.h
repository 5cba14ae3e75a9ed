#pragma once

#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace weighhouse {

/// A fixed number of named threads that run jobs in the order they were posted. Thread-safe.
/// Destroying it stops it.
class WorkerPool {
 public:
  WorkerPool(const std::string& name, int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Drops the jobs that have not begun, and those posted from now on, and waits for those that
  /// have. Not from one of the threads.
  void Stop() EXCLUDES(mutex_);
  /// Queues `job`, which runs in the caller's LogContext. Jobs must bound their own time; a job may
  /// post others.
  void Post(std::function<void()> job) EXCLUDES(mutex_);

 private:
  void Run();

  Mutex mutex_;
  ConditionVariable changed_;
  std::deque<std::function<void()>> jobs_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace weighhouse
