// A web server's JSON manifest.

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/web/file_manifest.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {

WEIGHHOUSE_FUZZ_TARGET(file_manifest, bytes) {
  Result<std::vector<ManifestEntry>> entries = ParseManifest(bytes);
  if (!entries) {
    const std::string& message = entries.error().message;
    CHECK(entries.error().code == Code::kInvalidArgument);
    CHECK(message.size() < 2000 && Printable(message, 2000) == message);
    return;
  }
  // {"path":"p","sha256":"…"}
  CHECK(entries->size() <= kMaxFiles && entries->size() * 80 <= bytes.size());
  size_t taken = 0;
  for (const ManifestEntry& entry : *entries) {
    CHECK(CheckPath(entry.path));
    taken += entry.path.size() + entry.url.size() + Digest::kSize;
  }
  CHECK(taken <= bytes.size());
}

}  // namespace weighhouse::source
