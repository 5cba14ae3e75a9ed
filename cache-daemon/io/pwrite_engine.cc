#include "cache-daemon/io/pwrite_engine.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/thread.h"

namespace weighhouse::io {
namespace {

/// Writes all that is left of `write`: 0 or an errno value.
int WriteOut(PendingWrite& write) {
  while (!write.data.empty()) {
    ssize_t written =
        ::pwrite(write.fd, write.data.data(), write.data.size(), static_cast<off_t>(write.offset));
    if (written > 0) {
      write.Advance(static_cast<size_t>(written));
      continue;
    }
    if (written == 0) return EIO;  // no progress and no reason: don't spin on it
    if (errno == EINTR) continue;
    if (errno != EAGAIN || ++write.attempts > PendingWrite::kMaxAttempts) return errno;
    ::sched_yield();
  }
  return 0;
}

}  // namespace

PwriteEngine::PwriteEngine(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.push_back(StartThread("pwrite-" + std::to_string(i), [this](const auto&) { Run(); }));
  }
}

PwriteEngine::~PwriteEngine() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  threads_.clear();
}

void PwriteEngine::Write(int fd, uint64_t offset, std::span<const std::byte> data, Done done) {
  {
    MutexLock lock(mutex_);
    queue_.push_back({.fd = fd, .offset = offset, .data = data, .done = std::move(done)});
  }
  changed_.NotifyOne();
}

void PwriteEngine::Run() {
  while (true) {
    PendingWrite write;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) changed_.Wait(lock);
      if (queue_.empty()) return;
      write = std::move(queue_.front());
      queue_.pop_front();
    }
    int error_number = WriteOut(write);
    write.Finish(error_number);
  }
}

}  // namespace weighhouse::io
