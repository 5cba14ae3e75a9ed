#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/units.h"
#include "cache-daemon/fill/byte_source.h"

namespace weighhouse::fill {

/// A layer's bytes as they were before it was compressed: by gzip or zstd, as its first bytes say,
/// whatever its media type does (containerd goes by them too), or by neither. Of libarchive it is
/// the gzip filter, and no format. One thread's.
class UnpackedBytes {
 public:
  /// `packed` gives the blob's bytes; the first are at least four, where it has as many.
  explicit UnpackedBytes(ByteSource packed, Bytes most);
  ~UnpackedBytes();
  UnpackedBytes(const UnpackedBytes&) = delete;
  UnpackedBytes& operator=(const UnpackedBytes&) = delete;

  /// As a ByteSource. Errors: those of `packed`; kInvalidArgument for what is broken or cut off,
  /// and for more than `most` bytes.
  Result<std::span<const std::byte>> Next();
  /// Reads both streams to their ends and returns the sha256 of all that Next gave: the diff_id.
  Result<std::string> Finish();

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace weighhouse::fill
