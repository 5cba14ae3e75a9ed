#include "cache-daemon/source/object_listing.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"

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

ObjectList::ObjectList(std::string place, std::string prefix)
    : place_(std::move(place)), prefix_(std::move(prefix)) {}

Result<> ObjectList::Add(std::string_view key, Bytes size, std::string_view token) {
  if (!key.starts_with(prefix_)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the bucket lists '{}', which isn't below '{}': refused",
                            Printable(key), Printable(prefix_)));
  }
  std::string_view path = key.substr(prefix_.size());
  TRY(CheckPath(path));
  bytes_ += path.size() + token.size();
  if (files_.size() == kMaxFiles || bytes_ > kMaxBytes) return std::unexpected(TooLong());
  files_.push_back(
      {.path = std::string(path), .size = size, .identity = VersionIdentity(token, path)});
  return {};
}

Error ObjectList::TooLong() const {
  return {.code = Code::kInvalidArgument,
          .message = fmt::format("the list of {} doesn't end, or has over {} objects or {} of "
                                 "names: name a longer prefix",
                                 Printable(place_), kMaxFiles, FormatBytes(kMaxBytes))};
}

}  // namespace weighhouse::source
