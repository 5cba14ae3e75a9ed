#pragma once

#include <deque>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/io/io_engine.h"
#include "cache-daemon/io/pending_operation.h"

namespace weighhouse::io {

/// pwrite(2) and pread(2) on a few threads named "pwrite-N": for nodes where io_uring is forbidden.
/// Thread-safe. What waits in its queue is bounded by the buffers that callers have.
class PwriteEngine final : public IoEngine {
 public:
  /// As many operations at once as an NVMe needs to be busy with 2 MiB each (facts/performance.md
  /// 1b: more add latency only).
  static constexpr int kThreads = 8;

  explicit PwriteEngine(int threads = kThreads);
  ~PwriteEngine() override;
  PwriteEngine(const PwriteEngine&) = delete;
  PwriteEngine& operator=(const PwriteEngine&) = delete;

  void Write(int fd, uint64_t offset, std::span<const std::byte> data, Done done) override
      EXCLUDES(mutex_);
  void Read(int fd, uint64_t offset, std::span<std::byte> space, Done done) override
      EXCLUDES(mutex_);
  std::string_view Name() const override { return "pwrite"; }

 private:
  void Add(PendingOperation operation) EXCLUDES(mutex_);
  void Run() EXCLUDES(mutex_);

  Mutex mutex_;
  ConditionVariable changed_;
  std::deque<PendingOperation> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace weighhouse::io
