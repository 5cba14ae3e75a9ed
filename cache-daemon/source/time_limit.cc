#include "cache-daemon/source/time_limit.h"

#include <atomic>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/mutex.h"
#include "base/thread.h"

namespace weighhouse::source {
namespace {

/// Stops `stop` when the time is over. A thread of its own waits for that, until the object ends.
class TimeLimit {
 public:
  TimeLimit(std::stop_source& stop, std::chrono::milliseconds limit)
      : stop_(stop), deadline_(std::chrono::steady_clock::now() + limit) {}
  ~TimeLimit() {
    {
      MutexLock lock(mutex_);
      ended_ = true;
    }
    changed_.NotifyAll();
  }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;

  Result<> Begin() {
    thread_ = TRY(TryStartThread("time-limit", [this](const std::stop_token&) { Watch(); }));
    return {};
  }
  bool passed() const { return passed_; }

 private:
  void Watch() {
    {
      MutexLock lock(mutex_);
      while (!ended_) {
        if (!changed_.WaitUntil(lock, deadline_)) break;
      }
      if (ended_) return;
    }
    passed_ = true;
    stop_.request_stop();
  }

  std::stop_source& stop_;
  const std::chrono::steady_clock::time_point deadline_;
  std::atomic<bool> passed_ = false;
  Mutex mutex_;
  ConditionVariable changed_;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace

Result<> InTime(const std::stop_token& stop, std::chrono::milliseconds limit,
                const std::function<Result<>(std::stop_token)>& ask) {
  std::stop_source inner;
  std::stop_callback outer(stop, [&inner] { inner.request_stop(); });
  TimeLimit time(inner, limit);
  TRY(time.Begin());
  Result<> answer = ask(inner.get_token());
  // What was said as the time passed was said: it may be a refusal.
  if (answer || !time.passed() || answer.error().code != Code::kCancelled) return answer;
  return Fail(Code::kUnavailable,
              fmt::format("its source has not told what it is after {}", FormatDuration(limit)));
}

Result<Listing> ResolveInTime(Source& source, const ModelReference& reference,
                              const Credentials& credentials, const std::stop_token& stop,
                              std::chrono::milliseconds limit) {
  Listing listing;
  auto resolve = [&](std::stop_token inner) -> Result<> {
    listing = TRY(source.Resolve(reference, credentials, std::move(inner)));
    return {};
  };
  TRY(InTime(stop, limit, resolve));
  return listing;
}

Result<bool> MayReadInTime(Source& source, const ModelReference& reference,
                           const Credentials& credentials, const std::stop_token& stop,
                           std::chrono::milliseconds limit) {
  bool may = false;
  auto ask = [&](std::stop_token inner) -> Result<> {
    may = TRY(source.MayRead(reference, credentials, std::move(inner)));
    return {};
  };
  TRY(InTime(stop, limit, ask));
  return may;
}

}  // namespace weighhouse::source
