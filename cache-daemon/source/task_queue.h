#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "base/mutex.h"

namespace weighhouse::source {

/// What a loop thread is asked to do, now or later. Thread-safe.
class TaskQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Task = std::function<void()>;

  /// Queues `task` for `due`; tasks that are due run by due time, then in the order they came. True
  /// if the loop must be woken: this one is now the first. False too if the queue is closed: the
  /// task is dropped.
  bool Add(Time due, Task task) EXCLUDES(mutex_);
  /// Takes the tasks due at `now`, in order.
  std::vector<Task> TakeDue(Time now) EXCLUDES(mutex_);
  /// When the first task is due.
  std::optional<Time> NextDue() const EXCLUDES(mutex_);
  /// Drops what is queued and all that comes. The dropped tasks are destroyed in this call, without
  /// the lock.
  void Close() EXCLUDES(mutex_);

 private:
  struct Entry {
    Time due;
    uint64_t order;
    Task task;
  };
  /// For std::push_heap: the entry that runs first is at the front.
  static bool RunsLater(const Entry& a, const Entry& b) {
    return a.due != b.due ? a.due > b.due : a.order > b.order;
  }

  mutable Mutex mutex_;
  std::vector<Entry> heap_ GUARDED_BY(mutex_);
  uint64_t next_order_ GUARDED_BY(mutex_) = 0;
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace weighhouse::source
