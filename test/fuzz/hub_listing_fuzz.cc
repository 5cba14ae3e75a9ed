// The Hub's JSON: the first byte chooses a revision, a page of the tree, or an error.

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/hub_listing.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {
namespace {

void CheckPage(std::string_view json) {
  std::vector<ListedFile> files;
  if (!AppendHubTreePage(json, files)) return;
  CHECK(files.size() <= kMaxFiles && files.size() * 2 <= json.size());
  for (const ListedFile& file : files) {
    bool sha256 = file.identity.kind == FileIdentity::Kind::kSha256;
    CHECK(sha256 || file.identity.kind == FileIdentity::Kind::kGitSha1);
    CHECK(IsHex(file.identity.value, sha256 ? 64 : 40));
    CHECK(!file.path.empty());
  }
  // A page that is read twice has every path twice.
  size_t once = files.size();
  CHECK(AppendHubTreePage(json, files) && files.size() == 2 * once);
  if (once > 0) CHECK(!CheckListing({.files = files}));
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(hub_listing, bytes) {
  std::string_view json = bytes;
  switch (fuzz::TakeByte(json)) {
    case 'r': {
      Result<HubRevision> revision = ParseHubRevision(json);
      if (revision) CHECK(IsCommitId(revision->commit));
      if (!revision) CHECK(revision.error().message.size() < 1000);
      return;
    }
    case 'e':
      CHECK(HubErrorText(json).size() <= json.size());
      return;
    default:
      CheckPage(json);
  }
}

}  // namespace weighhouse::source
