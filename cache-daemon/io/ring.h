#pragma once

#include <deque>
#include <expected>
#include <memory>
#include <thread>

#include "base/mutex.h"
#include "base/unique_fd.h"
#include "cache-daemon/io/io_engine.h"
#include "cache-daemon/io/pending_operation.h"
#include "cache-daemon/io/ring_refusal.h"

namespace weighhouse::io {

/// Writes and reads with io_uring: one thread named "ring" owns the ring and batches what callers
/// queue; it waits in one place, for completions and for the eventfd that a new operation signals.
/// Thread-safe. At most kEntries operations are with the kernel; what waits behind them is bounded
/// by the buffers that callers have. No SQPOLL and no registered buffers (facts/performance.md: no
/// gain, and memlock forbids the latter in pods).
class RingEngine final : public IoEngine {
 public:
  static constexpr unsigned kEntries = 64;

  enum class Setup {
    kBest,   ///< with what the kernel has to make completions cheap
    kPlain,  ///< as on kernels before 5.19
  };

  /// Sets the ring up and writes to a memfd with it: a seccomp profile can allow the one and deny
  /// the other.
  static std::expected<std::unique_ptr<RingEngine>, RingRefusal> Create(Setup setup = Setup::kBest);
  ~RingEngine() override;
  RingEngine(const RingEngine&) = delete;
  RingEngine& operator=(const RingEngine&) = delete;

  void Write(int fd, uint64_t offset, std::span<const std::byte> data, Done done) override
      EXCLUDES(mutex_);
  void Read(int fd, uint64_t offset, std::span<std::byte> space, Done done) override
      EXCLUDES(mutex_);
  std::string_view Name() const override { return "io_uring"; }

 private:
  class Loop;
  struct Arrivals {
    std::deque<PendingOperation> operations;
    bool stopping = false;
  };

  explicit RingEngine(UniqueFd wake) : wake_(std::move(wake)) {}
  void Add(PendingOperation operation) EXCLUDES(mutex_);
  Arrivals TakeArrivals() EXCLUDES(mutex_);
  void Wake();

  const UniqueFd wake_;  ///< eventfd
  Mutex mutex_;
  std::deque<PendingOperation> queue_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace weighhouse::io
