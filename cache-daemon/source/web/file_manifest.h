#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/units.h"

namespace weighhouse::source {

constexpr Bytes kMaxManifestBytes = 32 * kMiB;

struct ManifestEntry {
  std::string path;  ///< in the model; checked by CheckPath
  /// Where it lies, as written: absolute, or relative to the manifest. Empty: at `path` beside it.
  std::string url;
  std::optional<Bytes> size;
  Digest sha256;
};

/// Reads `{"files": [{"path": …, "sha256": …, "size"?: …, "url"?: …}, …]}`. Other keys are left
/// alone. Needs little more memory than what it returns. kInvalidArgument for anything else, with
/// the entry's number, for hostile paths and for over kMaxFiles entries.
Result<std::vector<ManifestEntry>> ParseManifest(std::string_view json);

}  // namespace weighhouse::source
