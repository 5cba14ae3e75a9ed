#include "cache-daemon/source/task_queue.h"

#include <algorithm>
#include <utility>

namespace weighhouse::source {

bool TaskQueue::Add(Time due, Task task) {
  MutexLock lock(mutex_);
  if (closed_) return false;
  uint64_t order = next_order_++;
  heap_.push_back({due, order, std::move(task)});
  std::ranges::push_heap(heap_, RunsLater);
  return heap_.front().order == order;
}

std::vector<TaskQueue::Task> TaskQueue::TakeDue(Time now) {
  std::vector<Task> due;
  MutexLock lock(mutex_);
  while (!heap_.empty() && heap_.front().due <= now) {
    std::ranges::pop_heap(heap_, RunsLater);
    due.push_back(std::move(heap_.back().task));
    heap_.pop_back();
  }
  return due;
}

std::optional<TaskQueue::Time> TaskQueue::NextDue() const {
  MutexLock lock(mutex_);
  if (heap_.empty()) return std::nullopt;
  return heap_.front().due;
}

void TaskQueue::Close() {
  std::vector<Entry> dropped;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    dropped.swap(heap_);
  }
}

}  // namespace weighhouse::source
