#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "base/digest.h"
#include "base/mutex.h"
#include "cache-daemon/io/buffer_pool.h"
#include "cache-daemon/io/io_engine.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::fill {

/// Writes files into their ingests as their bytes come, one file after another, and hashes them:
/// one buffer is filled while the other is written. Used by one thread; the engine's reports.
class StagedWriter {
 public:
  /// `io` outlives it.
  static Result<std::unique_ptr<StagedWriter>> Create(io::IoEngine& io);
  /// Waits for what is being written.
  ~StagedWriter();
  StagedWriter(const StagedWriter&) = delete;
  StagedWriter& operator=(const StagedWriter&) = delete;

  /// From here on, to `ingest`, which the caller keeps until End or the next Begin.
  void Begin(const store::Ingest& ingest);
  Result<> Write(std::span<const std::byte> bytes);
  /// All bytes were given and are written; returns their sha256. However it ends, nothing is being
  /// written any more: the file may be closed.
  Result<Digest> End();

 private:
  static constexpr size_t kHalves = 2;
  explicit StagedWriter(io::IoEngine& io) : io_(io) {}
  void Submit(size_t size);
  /// Waits until nothing is being written out of that buffer.
  Result<> Await(size_t half) EXCLUDES(mutex_);
  /// The same of both, also where one failed. The first failure of this file's.
  Result<> AwaitAll() EXCLUDES(mutex_);

  io::IoEngine& io_;
  std::unique_ptr<io::BufferPool> pool_;
  std::array<io::Buffer, kHalves> buffers_;
  int fd_ = -1;
  size_t half_ = 0;    // which is being filled
  size_t filled_ = 0;  // of it
  Bytes offset_ = 0;   // in the file, of its first byte
  std::optional<Hasher> hasher_;

  Mutex mutex_;
  ConditionVariable changed_;
  std::array<bool, kHalves> writing_ GUARDED_BY(mutex_) = {};
  int failed_ GUARDED_BY(mutex_) = 0;  // an errno value; of this file
};

}  // namespace weighhouse::fill
