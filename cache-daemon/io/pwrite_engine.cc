#include "cache-daemon/io/pwrite_engine.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/thread.h"

namespace weighhouse::io {
namespace {

ssize_t Call(const PendingOperation& operation) {
  auto offset = static_cast<off_t>(operation.offset);
  if (operation.kind == PendingOperation::Kind::kRead) {
    return ::pread(operation.fd, operation.space.data(), operation.space.size(), offset);
  }
  return ::pwrite(operation.fd, operation.data.data(), operation.data.size(), offset);
}

/// Does all that is left of `operation`: 0 or an errno value.
int Perform(PendingOperation& operation) {
  while (operation.left() > 0) {
    ssize_t done = Call(operation);
    if (done > 0) {
      operation.Advance(static_cast<size_t>(done));
      continue;
    }
    if (done == 0) return EIO;  // a read past the end, or a write that would spin for ever
    if (errno == EINTR) continue;
    if (errno != EAGAIN || ++operation.attempts > PendingOperation::kMaxAttempts) return errno;
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
  Add({.kind = PendingOperation::Kind::kWrite,
       .fd = fd,
       .offset = offset,
       .data = data,
       .done = std::move(done)});
}

void PwriteEngine::Read(int fd, uint64_t offset, std::span<std::byte> space, Done done) {
  Add({.kind = PendingOperation::Kind::kRead,
       .fd = fd,
       .offset = offset,
       .space = space,
       .done = std::move(done)});
}

void PwriteEngine::Add(PendingOperation operation) {
  {
    MutexLock lock(mutex_);
    queue_.push_back(std::move(operation));
  }
  changed_.NotifyOne();
}

void PwriteEngine::Run() {
  while (true) {
    PendingOperation operation;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) changed_.Wait(lock);
      if (queue_.empty()) return;
      operation = std::move(queue_.front());
      queue_.pop_front();
    }
    int error_number = Perform(operation);
    operation.Finish(error_number);
  }
}

}  // namespace weighhouse::io
