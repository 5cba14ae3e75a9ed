#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/units.h"
#include "cache-daemon/fill/byte_source.h"

namespace weighhouse::fill {

/// What zstd frames, one after the other, hold (RFC 8878). Not by libarchive, which lets a frame
/// have a window of 128 MiB, and so anybody's layer take that much memory. One thread's.
class ZstdBytes {
 public:
  /// A decoder need not take more: RFC 8878 section 3.1.1.1.2. `zstd` wants it from -20 on only.
  static constexpr Bytes kMostWindow = 8 * kMiB;

  explicit ZstdBytes(ByteSource packed);
  ~ZstdBytes();
  ZstdBytes(const ZstdBytes&) = delete;
  ZstdBytes& operator=(const ZstdBytes&) = delete;

  /// As a ByteSource. Errors: those of `packed`; kInvalidArgument for what is broken, cut off or
  /// wants a larger window; kUnavailable where there is no memory.
  Result<std::span<const std::byte>> Next();

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace weighhouse::fill
