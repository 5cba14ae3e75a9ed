#include "cache-daemon/source/web/in_parallel.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/thread.h"

namespace weighhouse::source {
namespace {

/// Which index is next, and what went wrong first. Thread-safe.
class Round {
 public:
  Round(size_t count, std::stop_token stop) : count_(count), stop_(std::move(stop)) {}

  /// Nothing: there is none left, or none should begin.
  std::optional<size_t> Next() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (next_ >= count_ || failure_) return std::nullopt;
    if (!stop_.stop_requested()) return next_++;
    failure_ = Error{Code::kCancelled, "stopped"};
    return std::nullopt;
  }
  void Fail(Error error) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (!failure_) failure_ = std::move(error);
  }
  Result<> Outcome() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (failure_) return std::unexpected(*failure_);
    return {};
  }

 private:
  const size_t count_;
  const std::stop_token stop_;
  Mutex mutex_;
  size_t next_ GUARDED_BY(mutex_) = 0;
  std::optional<Error> failure_ GUARDED_BY(mutex_);
};

}  // namespace

Result<> ForEachInParallel(size_t count, size_t threads, std::stop_token stop,
                           const std::function<Result<>(size_t)>& visit) {
  Round round(count, std::move(stop));
  std::vector<std::jthread> workers;
  for (size_t i = 0; i < std::min(count, threads); ++i) {
    Result<std::jthread> worker = TryStartThread("source-ask", [&](const std::stop_token&) {
      while (std::optional<size_t> index = round.Next()) {
        Result<> outcome = visit(*index);
        if (!outcome) round.Fail(std::move(outcome).error());
      }
    });
    // The others do its part.
    if (!worker && workers.empty()) return std::unexpected(std::move(worker).error());
    if (!worker) break;
    workers.push_back(*std::move(worker));
  }
  for (std::jthread& worker : workers) worker.join();
  return round.Outcome();
}

}  // namespace weighhouse::source
