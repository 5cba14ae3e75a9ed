#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weighhouse::io {

/// Writes buffers to files and reads them back without making the caller wait. Thread-safe.
/// Operations under way run in any order. Destroying it waits for them.
class IoEngine {
 public:
  /// Called once per operation on the engine's own thread: 0 or an errno value. Must not block.
  using Done = std::function<void(int error_number)>;

  virtual ~IoEngine() = default;
  /// Writes all of `data` (short writes are continued) to `fd` at `offset`. For an O_DIRECT
  /// descriptor `data`, its size and `offset` are multiples of 4096. `data` and `fd` stay valid
  /// until `done` ran.
  virtual void Write(int fd, uint64_t offset, std::span<const std::byte> data, Done done) = 0;
  /// Fills all of `space` (short reads are continued) from `fd` at `offset`; EIO if the file ends
  /// before. Alignment and lifetimes as for `Write`.
  virtual void Read(int fd, uint64_t offset, std::span<std::byte> space, Done done) = 0;
  /// "io_uring" or "pwrite", for status.
  virtual std::string_view Name() const = 0;
};

/// Which engine to use.
enum class IoEngineChoice { kAuto, kIoUring, kPwrite };

struct IoEngineSelection {
  std::unique_ptr<IoEngine> engine;
  /// Why io_uring was not taken (seccomp, sysctl, memlock …), for the log; empty if it was or
  /// wasn't asked for.
  std::string fallback_reason;
};

/// kAuto takes io_uring where the kernel, its sysctl and the seccomp profile allow it (tried with a
/// real write), else pwrite threads. kIoUring fails with kFailedPrecondition where it is denied.
Result<IoEngineSelection> SelectIoEngine(IoEngineChoice choice);

}  // namespace weighhouse::io
