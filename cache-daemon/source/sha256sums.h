#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/model.h"

namespace weighhouse::source {

/// What the file is called that lies beside a model's files and gives their digests.
inline constexpr std::string_view kSha256Sums = "SHA256SUMS";
/// A longer one is refused.
inline constexpr Bytes kMaxSha256SumsBytes = 32 * kMiB;

/// The digests of a `SHA256SUMS` by path, as sha256sum(1) writes it: `<64 hex>  path`, `*path` for
/// binary mode, a backslash at the line's start where the path has escapes, `./` dropped; also the
/// BSD form `SHA256 (path) = <hex>`. Empty lines and those that begin with `#` are skipped.
/// kInvalidArgument names the first line that is neither, and a path with two digests.
Result<std::map<std::string, Digest>> ParseSha256Sums(std::string_view text);

/// Gives every file that `sums` names its sha256 for an identity. kFailedPrecondition for a name
/// that is none of `files`': somebody is still copying, or lost it. Names that `is_left_out` knows
/// may lack (null: none may), and what the list says of itself counts for nothing.
Result<> ApplySha256Sums(const std::map<std::string, Digest>& sums, std::vector<ListedFile>& files,
                         const std::function<bool(const std::string&)>& is_left_out = nullptr);

/// The same by the text of the list, which messages call `name`.
Result<> ApplySha256Text(std::string_view text, std::string_view name,
                         std::vector<ListedFile>& files);
/// Gives `file`, which lies beside the list alone, its digest if there is one.
Result<> ApplySha256Text(std::string_view text, std::string_view name, ListedFile& file);

}  // namespace weighhouse::source
