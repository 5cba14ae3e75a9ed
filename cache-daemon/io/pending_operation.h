#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "cache-daemon/io/io_engine.h"

namespace weighhouse::io {

/// What is left of one `IoEngine::Write` or `Read`. Owned by one thread at a time.
struct PendingOperation {
  enum class Kind { kWrite, kRead };
  /// How often an operation that the kernel couldn't take at the moment (EAGAIN) is given to it
  /// again.
  static constexpr int kMaxAttempts = 100;

  Kind kind = Kind::kWrite;
  int fd = -1;
  uint64_t offset = 0;
  std::span<const std::byte> data;  ///< kWrite: what is left to be written
  std::span<std::byte> space;       ///< kRead: what is left to be filled
  IoEngine::Done done;
  int attempts = 0;  ///< in a row without progress

  size_t left() const { return kind == Kind::kRead ? space.size() : data.size(); }
  /// Takes in that the first `count` bytes are written or read.
  void Advance(size_t count) {
    offset += count;
    if (kind == Kind::kRead) {
      space = space.subspan(count);
    } else {
      data = data.subspan(count);
    }
    attempts = 0;
  }
  /// Tells the caller; nothing may follow.
  void Finish(int error_number) { std::exchange(done, nullptr)(error_number); }
};

}  // namespace weighhouse::io
