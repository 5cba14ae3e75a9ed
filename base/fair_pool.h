#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace weighhouse {

/// A fixed number of named threads that parties share who owe each other nothing. The jobs of one
/// begin in the order in which they were posted; parties take turns. One that has no thread gets
/// the next free one, but never more than `most_for_one`, and a further one only while more threads
/// are free than it has. So who posts many jobs, or long ones, holds up its own: to hold up others
/// it takes as many parties as there are threads. Thread-safe. Destroying it stops it.
class FairPool {
 public:
  struct Size {
    int threads = 1;
    int most_for_one = 1;

    /// No party has more than a quarter of the threads.
    static Size Quarters(int threads) {
      return {.threads = threads, .most_for_one = threads < 4 ? 1 : threads / 4};
    }
  };
  FairPool(const std::string& name, Size size);
  ~FairPool();
  FairPool(const FairPool&) = delete;
  FairPool& operator=(const FairPool&) = delete;

  /// Drops the jobs that have not begun, and those posted from now on, and waits for those that
  /// have. Not from one of the threads.
  void Stop() EXCLUDES(mutex_);
  /// Queues `job` for `party`; it runs in the caller's LogContext. Jobs must bound their own time;
  /// a job may post others.
  void Post(const std::string& party, std::function<void()> job) EXCLUDES(mutex_);

 private:
  struct Party {
    std::deque<std::function<void()>> waiting;
    int running = 0;
  };
  using Parties = std::map<std::string, Party>;

  void Run();
  /// The party whose turn it is, if any may have one more thread now: the end else.
  Parties::iterator Next() REQUIRES(mutex_);
  /// Takes its first job.
  std::function<void()> Begin(Parties::iterator party) REQUIRES(mutex_);
  void End(Parties::iterator party) REQUIRES(mutex_);

  const Size size_;
  Mutex mutex_;
  ConditionVariable changed_;
  Parties parties_ GUARDED_BY(mutex_);  // those with jobs
  /// Those with waiting jobs; the first has waited for its turn longest.
  std::deque<Parties::iterator> turns_ GUARDED_BY(mutex_);
  int free_ GUARDED_BY(mutex_);  // threads without a job
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace weighhouse
