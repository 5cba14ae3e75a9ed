#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "cache-daemon/io/write_engine.h"

namespace weighhouse::io {

/// What is left of one `WriteEngine::Write`. Owned by one thread at a time.
struct PendingWrite {
  /// How often a write that the kernel couldn't take at the moment (EAGAIN) is given to it again.
  static constexpr int kMaxAttempts = 100;

  int fd = -1;
  uint64_t offset = 0;
  std::span<const std::byte> data;
  WriteEngine::Done done;
  int attempts = 0;  ///< in a row without progress

  /// Takes in that the first `count` bytes are written.
  void Advance(size_t count) {
    offset += count;
    data = data.subspan(count);
    attempts = 0;
  }
  /// Tells the caller; nothing may follow.
  void Finish(int error_number) { std::exchange(done, nullptr)(error_number); }
};

}  // namespace weighhouse::io
