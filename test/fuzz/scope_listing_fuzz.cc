// ModelScope's list of a repository's files.

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/modelscope/scope_listing.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {

WEIGHHOUSE_FUZZ_TARGET(scope_listing, bytes) {
  Result<ScopeFiles> files = ParseScopeListing(bytes);
  if (!files) {
    const Error& error = files.error();
    CHECK(error.code == Code::kUnavailable || error.code == Code::kNotFound ||
          error.code == Code::kInvalidArgument);
    CHECK(error.message.size() < 2000 && Printable(error.message, 2000) == error.message);
    return;
  }
  CHECK(files->size() <= kMaxFiles);
  size_t taken = 0;
  for (const auto& [path, file] : *files) {
    CHECK(!path.empty());
    // Without either nothing would say what the bytes must be, or which version they are of.
    CHECK(IsHex(file.sha256, 64) || (file.sha256.empty() && IsCommitId(file.commit)));
    CHECK(file.commit.empty() || IsCommitId(file.commit));
    taken += path.size() + file.sha256.size() + file.commit.size();
  }
  CHECK(taken <= bytes.size());
}

}  // namespace weighhouse::source
