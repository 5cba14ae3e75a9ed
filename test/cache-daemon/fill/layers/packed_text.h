#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "cache-daemon/fill/byte_source.h"
#include "test/cache-daemon/source/oci/tar_text.h"

namespace weighhouse::fill {

/// `text` compressed by one of libarchive's filters.
inline std::string Compressed(const std::string& text, int filter) {
  std::string packed(text.size() + 65'536, '\0');
  size_t used = 0;
  archive* made = ::archive_write_new();
  CHECK(::archive_write_add_filter(made, filter) == ARCHIVE_OK);
  CHECK(::archive_write_set_format_raw(made) == ARCHIVE_OK);
  CHECK(::archive_write_set_bytes_in_last_block(made, 1) == ARCHIVE_OK);
  CHECK(::archive_write_open_memory(made, packed.data(), packed.size(), &used) == ARCHIVE_OK);
  archive_entry* entry = ::archive_entry_new();
  ::archive_entry_set_filetype(entry, AE_IFREG);
  CHECK(::archive_write_header(made, entry) == ARCHIVE_OK);
  ::archive_entry_free(entry);
  if (!text.empty()) CHECK(::archive_write_data(made, text.data(), text.size()) >= 0);
  CHECK(::archive_write_close(made) == ARCHIVE_OK);
  ::archive_write_free(made);
  packed.resize(used);
  return packed;
}

/// `text` in pieces of so many bytes.
inline ByteSource Pieces(std::string text, size_t size) {
  return [text = std::move(text), size,
          at = size_t{0}]() mutable -> Result<std::span<const std::byte>> {
    std::string_view piece = std::string_view(text).substr(at, size);
    at += piece.size();
    return std::as_bytes(std::span(piece));
  };
}

/// What ends a tar.
inline const std::string kTarEnd(1024, '\0');

}  // namespace weighhouse::fill
