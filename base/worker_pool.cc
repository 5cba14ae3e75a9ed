#include "base/worker_pool.h"

#include <utility>

#include "base/log_context.h"
#include "base/thread.h"

namespace weighhouse {

WorkerPool::WorkerPool(const std::string& name, int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.push_back(StartThread(name + "-" + std::to_string(i), [this](const auto&) { Run(); }));
  }
}

WorkerPool::~WorkerPool() { Stop(); }

void WorkerPool::Stop() {
  // They die without the lock, because what a job owns may post, and before the threads are joined,
  // because what a running job waits for may be theirs to let go.
  std::deque<std::function<void()>> dropped;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    dropped.swap(jobs_);
  }
  changed_.NotifyAll();
  dropped.clear();
  threads_.clear();
}

void WorkerPool::Post(std::function<void()> job) {
  job = InLogContext(std::move(job));
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
  }
  changed_.NotifyOne();
}

void WorkerPool::Run() {
  while (true) {
    std::function<void()> job;
    {
      MutexLock lock(mutex_);
      while (jobs_.empty() && !stopping_) changed_.Wait(lock);
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace weighhouse
