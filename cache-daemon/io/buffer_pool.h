#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"

namespace weighhouse::io {

class BufferPool;

/// One page-aligned piece of the pool's memory; gives itself back when destroyed. Move-only.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  explicit operator bool() const { return pool_ != nullptr; }
  std::span<std::byte> memory() const { return memory_; }

 private:
  friend class BufferPool;
  Buffer(BufferPool* pool, std::span<std::byte> memory) : pool_(pool), memory_(memory) {}
  BufferPool* pool_ = nullptr;
  std::span<std::byte> memory_;
};

/// The memory that all fills share: `count` buffers of `buffer_size` bytes in one mapping
/// (MADV_HUGEPAGE: a quarter less CPU for receive + write, facts/performance.md). It bounds the
/// daemon's memory whatever the models' sizes. Thread-safe. Must outlive its buffers.
class BufferPool {
 public:
  static constexpr size_t kBufferSize = size_t{2} << 20;
  static constexpr size_t kAlignment = 4096;

  /// kResourceExhausted if the memory can't be mapped.
  static Result<std::unique_ptr<BufferPool>> Create(size_t count, size_t buffer_size = kBufferSize);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  /// A buffer, or nothing while all are out.
  std::optional<Buffer> TryTake() EXCLUDES(mutex_);
  /// Has the kernel give the pool its memory now, in the order in which buffers are first taken.
  /// Whoever receives into one would else wait for its pages to be cleared, which virtual machines
  /// are slow at. May run while buffers are in use; takes about 2 ms a buffer, and nothing the
  /// second time.
  void Prefault();
  size_t count() const { return count_; }
  size_t buffer_size() const { return buffer_size_; }
  size_t available() const EXCLUDES(mutex_);

 private:
  friend class Buffer;
  BufferPool(std::byte* base, size_t count, size_t buffer_size);
  void GiveBack(std::span<std::byte> memory) EXCLUDES(mutex_);

  std::byte* const base_;
  const size_t count_;
  const size_t buffer_size_;
  mutable Mutex mutex_;
  std::vector<std::byte*> free_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::io
