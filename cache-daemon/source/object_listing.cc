#include "cache-daemon/source/object_listing.h"

#include <fmt/format.h>

namespace weighhouse::source {

std::string RevisionOf(const std::vector<ListedFile>& files) {
  Hasher hasher(Hasher::Algorithm::kSha256);
  for (const ListedFile& file : files) {
    // With their lengths: no two lists give the same text.
    hasher.Update(fmt::format("{}:{}{} {}{}:{}", file.path.size(), file.path, file.size,
                              IdentityKindName(file.identity.kind), file.identity.value.size(),
                              file.identity.value));
  }
  return hasher.FinishHex();
}

FileIdentity VersionIdentity(std::string_view token, std::string_view path) {
  return {.kind = FileIdentity::Kind::kVersionToken, .value = fmt::format("{} of {}", token, path)};
}

std::string VersionTokenOf(const ListedFile& file) {
  if (file.identity.kind != FileIdentity::Kind::kVersionToken) return "";
  std::string end = " of " + file.path;
  if (!file.identity.value.ends_with(end)) return "";
  return file.identity.value.substr(0, file.identity.value.size() - end.size());
}

std::string KeyOf(const Listing& listing, const std::string& path, const ListedFile& file) {
  if (!listing.origin.ends_with('/')) return path;
  return path.empty() ? file.path : path + "/" + file.path;
}

}  // namespace weighhouse::source
