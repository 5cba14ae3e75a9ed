#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/units.h"
#include "cache-daemon/fill/byte_source.h"
#include "cache-daemon/fill/layers/layer_entry.h"

namespace weighhouse::fill {

/// Reads a tar as it streams by (source/tar_header.h says which kinds). libarchive's own reader
/// isn't used: of a sparse file it builds a map in memory that is as long as a stranger likes.
/// Sparse files are refused wherever they are. One thread's.
class TarReader {
 public:
  /// At most `most_entries`.
  TarReader(ByteSource bytes, size_t most_entries)
      : bytes_(std::move(bytes)), most_entries_(most_entries) {}

  /// The next entry; nothing at the archive's end. What was not read of the one before is passed
  /// over. Errors: the stream's; kInvalidArgument for what is no tar or breaks off.
  Result<std::optional<TarEntry>> Next();
  /// The next bytes of the entry's content, valid until the next call; none at its end.
  Result<std::span<const std::byte>> Content();

 private:
  /// At most `most` of the bytes that come next; none at the stream's end.
  Result<std::span<const std::byte>> Take(Bytes most);
  /// Exactly `count` bytes; nothing if the stream ends before the first.
  Result<std::optional<std::string>> TakeAll(Bytes count);
  Result<> Skip(Bytes count);

  const ByteSource bytes_;
  const size_t most_entries_;
  std::span<const std::byte> rest_;  // of what the stream gave last
  size_t entries_ = 0;
  Bytes left_ = 0;     // of the entry's content
  Bytes padding_ = 0;  // behind it
};

}  // namespace weighhouse::fill
