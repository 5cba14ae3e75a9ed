#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/units.h"

namespace weighhouse::source::oci {

/// Where the one file of an archive lies in it.
struct TarPlace {
  std::string path;  ///< as the archive has it, a leading `./` left out
  ByteRange bytes;
};

/// Reads a tar's start (POSIX.1-2017 pax, "ustar Interchange Format" and its extended headers;
/// GNU's long names and large sizes) up to its first regular file; directories before it are passed
/// over. `head`: the first bytes of an archive of `size` bytes.
///
/// kUnimplemented where `head` ends before that file begins; kInvalidArgument for what is no tar,
/// holds no file, or holds something else than files and directories (links, devices, sparse
/// files), and for a file that ends after the archive.
Result<TarPlace> FindFirstFile(std::string_view head, Bytes size);

/// Whether `tail`, all that follows a file's last byte, holds no further entry: only zeros.
bool IsEndOfTar(std::string_view tail);

}  // namespace weighhouse::source::oci
