#include "cache-daemon/source/object_listing.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/web/in_parallel.h"

namespace weighhouse::source {
namespace {

constexpr size_t kMostShown = 64;
constexpr size_t kShownAtATime = 8;

}  // namespace

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

std::vector<const ListedFile*> FilesThatShowRights(const std::vector<ListedFile>& files) {
  std::map<std::string_view, const ListedFile*> largest;  // by directory
  for (const ListedFile& file : files) {
    std::string_view path = file.path;
    size_t slash = path.rfind('/');
    std::string_view directory = path.substr(0, slash == std::string_view::npos ? 0 : slash);
    const ListedFile*& known = largest[directory];
    if (file.size > 0 && (known == nullptr || file.size > known->size)) known = &file;
  }
  std::vector<const ListedFile*> shown;
  for (const auto& [directory, file] : largest) {
    if (file != nullptr) shown.push_back(file);
  }
  std::ranges::sort(shown, std::ranges::greater(), &ListedFile::size);
  shown.resize(std::min(shown.size(), kMostShown));
  return shown;
}

Result<> ShowRights(const std::vector<ListedFile>& files, std::stop_token stop,
                    const std::function<Result<>(const ListedFile&)>& read_byte) {
  std::vector<const ListedFile*> shown = FilesThatShowRights(files);
  if (shown.size() == 1) return read_byte(*shown.front());  // needs no thread
  return ForEachInParallel(shown.size(), kShownAtATime, std::move(stop),
                           [&](size_t index) { return read_byte(*shown[index]); });
}

}  // namespace weighhouse::source
