#include "base/thread.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/mutex.h"

namespace weighhouse {

std::jthread StartThread(std::string name, std::function<void(std::stop_token)> body,
                         Scheduling scheduling) {
  name.resize(std::min<size_t>(name.size(), 15));
  auto run = [name = std::move(name), body = std::move(body), scheduling](std::stop_token stop) {
    pthread_setname_np(pthread_self(), name.c_str());
    sched_param priority{};
    // Everybody may; where a sandbox refuses it, the thread works as others do.
    if (scheduling == Scheduling::kBatch) {
      pthread_setschedparam(pthread_self(), SCHED_BATCH, &priority);
    }
    body(std::move(stop));
  };
  return std::jthread(std::move(run));
}

Result<std::jthread> TryStartThread(std::string name, std::function<void(std::stop_token)> body) {
  try {
    return StartThread(name, std::move(body));
  } catch (const std::system_error& error) {
    return Fail(Code::kUnavailable, fmt::format("start the thread {}: {}", name, error.what()));
  }
}

bool SleepUntil(std::chrono::steady_clock::time_point until, const std::stop_token& stop) {
  Mutex mutex;
  ConditionVariable changed;
  std::stop_callback wake(stop, [&] {
    MutexLock lock(mutex);
    changed.NotifyAll();
  });
  MutexLock lock(mutex);
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < until) {
    changed.WaitUntil(lock, until);
  }
  return !stop.stop_requested();
}

}  // namespace weighhouse
