#include "cache-daemon/source/web/file_revision.h"

#include <fmt/format.h>

#include "base/digest.h"

namespace weighhouse::source {

std::string RevisionOfFiles(const std::vector<ListedFile>& files) {
  Hasher hasher(Hasher::Algorithm::kSha256);
  for (const ListedFile& file : files) {
    hasher.Update(
        fmt::format("{}:{} {} {}\n", file.path.size(), file.path, file.size, file.identity.value));
  }
  return hasher.FinishHex();
}

}  // namespace weighhouse::source
