#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/model.h"

namespace weighhouse::source {

/// One file of a ModelScope repository.
struct ScopeFile {
  Bytes size = 0;
  std::string sha256;  ///< 64 hex digits; "" if the answer has none
  std::string commit;  ///< that brought it; "" if the answer names none
  /// As the file at `path`: commits bring many files.
  FileIdentity Identity(std::string_view path) const;
};
using ScopeFiles = std::map<std::string, ScopeFile>;  // by path
/// What they take in memory, about.
Bytes BytesOf(const ScopeFiles& files);

/// Reads `GET …/repo/files`: `{"Code": 200, "Data": {"Files": [{"Path", "Type", "Size", "Sha256",
/// "Revision"}]}}`. Entries of `"Type": "tree"` are left out. Paths are not checked here
/// (CheckListing). kUnavailable for what is no such JSON; kNotFound, with the server's words, for
/// another Code; kInvalidArgument for an entry without path or size, or with neither a sha256 nor a
/// commit.
Result<ScopeFiles> ParseScopeListing(std::string_view json);

}  // namespace weighhouse::source
