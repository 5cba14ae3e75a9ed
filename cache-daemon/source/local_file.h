#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace weighhouse::source {

/// The path in a file:// location.
std::string LocalPathOf(const std::string& url);

struct LocalFile {
  UniqueFd fd;
  Bytes size = 0;
};

/// Opens a regular file for reading. `path` is a real one: no link is followed anywhere in it,
/// because it was found to lie below an allowed directory, and a directory that became a link since
/// may lead elsewhere (kOutOfRange). kFailedPrecondition for what is no regular file.
Result<LocalFile> OpenLocalFile(const std::string& path);

/// The text of such a file; kInvalidArgument over `limit` bytes.
Result<std::string> ReadLocalFile(const std::string& path, Bytes limit);

}  // namespace weighhouse::source
