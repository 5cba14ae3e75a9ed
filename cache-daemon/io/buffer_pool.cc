#include "cache-daemon/io/buffer_pool.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/units.h"

namespace weighhouse::io {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

size_t RoundUpToHugePage(size_t size) { return (size + kHugePage - 1) / kHugePage * kHugePage; }

/// Maps `size` bytes (a multiple of kHugePage) that begin at a multiple of kHugePage: only such
/// memory becomes huge pages. Null if the kernel refuses.
std::byte* MapAligned(size_t size) {
  size_t mapped_size = size + kHugePage;
  void* mapped =
      ::mmap(nullptr, mapped_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(mapped);
  size_t misaligned = reinterpret_cast<uintptr_t>(mapped) % kHugePage;
  size_t head = misaligned == 0 ? 0 : kHugePage - misaligned;
  size_t tail = kHugePage - head;
  if (head > 0) ::munmap(begin, head);
  if (tail > 0) ::munmap(begin + head + size, tail);
  ::madvise(begin + head, size, MADV_HUGEPAGE);  // a kernel without huge pages is slower, not wrong
  return begin + head;
}

}  // namespace

Buffer::Buffer(Buffer&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), memory_(std::exchange(other.memory_, {})) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  if (pool_ != nullptr) pool_->GiveBack(memory_);
  pool_ = std::exchange(other.pool_, nullptr);
  memory_ = std::exchange(other.memory_, {});
  return *this;
}

Buffer::~Buffer() {
  if (pool_ != nullptr) pool_->GiveBack(memory_);
}

Result<std::unique_ptr<BufferPool>> BufferPool::Create(size_t count, size_t buffer_size) {
  if (count == 0 || buffer_size == 0 || buffer_size % kAlignment != 0) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("a pool of {} buffers of {} bytes: give at least one buffer, and a size "
                    "that is a multiple of {}",
                    count, buffer_size, kAlignment));
  }
  bool too_large = count > (std::numeric_limits<size_t>::max() / 2 - kHugePage) / buffer_size;
  std::byte* base = too_large ? nullptr : MapAligned(RoundUpToHugePage(count * buffer_size));
  if (base == nullptr) {
    return Fail(
        Code::kResourceExhausted,
        fmt::format("map {} buffers of {}: {}; make the pool smaller or the memory limit larger",
                    count, FormatBytes(buffer_size), std::strerror(ENOMEM)));
  }
  return std::unique_ptr<BufferPool>(new BufferPool(base, count, buffer_size));
}

BufferPool::BufferPool(std::byte* base, size_t count, size_t buffer_size)
    : base_(base), count_(count), buffer_size_(buffer_size) {
  free_.reserve(count);
  // The last one in the list is taken first: a pool that is never empty touches only the memory it
  // needs.
  for (size_t i = count; i > 0; --i) free_.push_back(base + (i - 1) * buffer_size);
}

BufferPool::~BufferPool() {
  CHECK(available() == count_);  // a buffer that is still out would point into unmapped memory
  ::munmap(base_, RoundUpToHugePage(count_ * buffer_size_));
}

std::optional<Buffer> BufferPool::TryTake() {
  MutexLock lock(mutex_);
  if (free_.empty()) return std::nullopt;
  std::byte* memory = free_.back();
  free_.pop_back();
  return Buffer(this, std::span(memory, buffer_size_));
}

void BufferPool::Prefault() {
  for (size_t i = 0; i < count_; ++i) {
    // Changes no byte. Linux before 5.14 doesn't know it: then pages come as they are touched.
    if (::madvise(base_ + i * buffer_size_, buffer_size_, MADV_POPULATE_WRITE) != 0) return;
  }
}

size_t BufferPool::available() const {
  MutexLock lock(mutex_);
  return free_.size();
}

void BufferPool::GiveBack(std::span<std::byte> memory) {
  MutexLock lock(mutex_);
  free_.push_back(memory.data());
}

}  // namespace weighhouse::io
