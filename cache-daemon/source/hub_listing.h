#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/model.h"

namespace weighhouse::source {

/// What the Hub says of a revision (`GET /api/models/{repo}/revision/{rev}`).
struct HubRevision {
  std::string commit;  ///< 40 hex digits
  /// False only if the Hub says so. A gated repository's listing is public, its files are not
  /// (github.com/huggingface/huggingface.js/issues/945): whoever may list it may not be allowed to
  /// have it.
  bool may_be_gated = true;
};

/// kUnavailable for what is no JSON object (a proxy's login page), kInvalidArgument for one without
/// a commit id.
Result<HubRevision> ParseHubRevision(std::string_view json);

/// Appends the files of one page of `GET /api/models/{repo}/tree/{commit}?recursive=true`; other
/// entries are left out. Needs little more memory than the files it appends. Paths are not checked
/// here (CheckListing). kUnavailable for what is no JSON array; kInvalidArgument for an entry
/// without path, size or ids, with ids that aren't hexadecimal, with two sizes, or beyond
/// kMaxFiles.
Result<> AppendHubTreePage(std::string_view json, std::vector<ListedFile>& files);

/// The text of a Hub error body: `{"error": "…"}`, `{"error": ["…"]}` or `{"errors": [{"message":
/// "…"}]}`; "" if it is none.
std::string HubErrorText(std::string_view json);

}  // namespace weighhouse::source
