#include "cache-daemon/source/object_listing.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/s3/s3_place.h"

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

Result<Listing> ListObjects(Listing listing, const ModelReference& reference,
                            const std::function<Result<std::vector<ListedFile>>()>& list,
                            const std::function<Result<ListedFile>()>& one) {
  Result<std::vector<ListedFile>> files = list();
  // Whoever may not list may still be allowed to read the one object.
  bool may_be_one = files ? files->empty() : files.error().rights_may_help;
  if (may_be_one && !BucketPath::Of(reference).path.empty()) {
    Result<ListedFile> object = one();
    if (!object) {
      // Who is refused the list is refused the object too. That it is away, or that it was stopped,
      // is another thing, which takes nobody's grant.
      bool refused = object.error().rights_may_help || object.error().code == Code::kNotFound;
      return std::unexpected(!files && refused ? files.error() : std::move(object).error());
    }
    listing.origin.pop_back();
    files = std::vector{*std::move(object)};
  }
  listing.files = TRY(std::move(files));
  if (listing.files.empty()) {
    return Fail(Code::kNotFound,
                fmt::format("{}: the bucket is empty", Printable(reference.ToString())));
  }
  std::ranges::sort(listing.files);
  TRY(CheckListing(listing));
  listing.revision = RevisionOf(listing.files);
  return listing;
}

}  // namespace weighhouse::source
