#include "cache-daemon/store/ingest_name.h"

#include <fmt/format.h>

#include "base/digest.h"

namespace weighhouse::store {

std::string IngestIdOf(const std::string& origin, const ListedFile& file) {
  return Digest::Of(fmt::format("{}\n{}\n{}\n{}", origin, IdentityKindName(file.identity.kind),
                                file.identity.value, file.size))
      .Hex();
}

std::string FreshIngestFor(const std::string& origin, bool anonymous, const ListedFile& file) {
  bool shared = anonymous && file.identity.kind == FileIdentity::Kind::kSha256;
  return IngestIdOf(shared ? kPublicOrigins : origin, file);
}

}  // namespace weighhouse::store
