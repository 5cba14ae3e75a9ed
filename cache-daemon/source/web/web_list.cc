#include "cache-daemon/source/web/web_list.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/object_listing.h"
#include "cache-daemon/source/sha256sums.h"
#include "cache-daemon/source/web/file_manifest.h"
#include "cache-daemon/source/web/in_parallel.h"
#include "cache-daemon/source/web/web_credentials.h"

namespace weighhouse::source {
namespace {

/// Files asked for at the same moment.
constexpr size_t kAskers = 8;
/// Directories whose files are asked for to show the caller's rights, those of the largest first.
constexpr size_t kMostShown = 64;

std::string CacheKey(const ModelReference& reference, const std::vector<std::string>& headers) {
  Hasher hasher(Hasher::Algorithm::kSha256);
  hasher.Update(UriWithDigest(reference));
  for (const std::string& header : headers) hasher.Update(fmt::format("\n{}", header));
  return hasher.FinishHex();
}

std::unexpected<Error> TooManyUnsized(size_t count, size_t most, std::string_view where) {
  return Fail(
      Code::kInvalidArgument,
      fmt::format("{} files{} are listed without a size: over {} need a manifest that gives "
                  "sizes",
                  count, where, most));
}

}  // namespace

Result<WebList::Question> WebList::QuestionOf(const ModelReference& reference,
                                              const Credentials& credentials) {
  Question question{.form = WebFormOf(reference.uri)};
  question.list.url = TRY(Url::Parse(reference.uri));
  question.list.credentials = TRY(WebAuthorization(credentials));
  if (reference.expected_sha256) question.sha256 = reference.expected_sha256->Hex();
  question.cache_key = CacheKey(reference, question.list.credentials);
  return question;
}

std::string WebList::OriginFor(const ModelReference& reference, const Credentials&) const {
  Result<Url> url = Url::Parse(reference.uri);
  if (!url) return "";
  bool is_manifest = WebFormOf(reference.uri) == WebForm::kManifest;
  return WebOrigin(*url, secret_digest_) + (is_manifest ? "#manifest" : "");
}

std::vector<ListedFile> WebList::FilesOf(const Entries& entries) {
  std::vector<ListedFile> files;
  files.reserve(entries.size());
  for (const auto& [path, entry] : entries) {
    files.push_back({.path = path,
                     .size = entry.size.value_or(0),
                     .identity = {FileIdentity::Kind::kSha256, entry.sha256.Hex()}});
  }
  std::ranges::sort(files);
  return files;
}

Result<Listing> WebList::Resolve(const ModelReference& reference, const Credentials& credentials,
                                 std::stop_token stop) {
  Question question = TRY(QuestionOf(reference, credentials));
  const Url& url = question.list.url;
  Entries entries = TRY(Read(question, stop));
  Listing listing{.origin = OriginFor(reference, credentials),
                  .anonymous = url.query.empty() && question.list.credentials.empty()};
  // Before anybody is asked for anything that it names.
  listing.files = FilesOf(entries);
  TRY(CheckListing(listing));
  TRY(ShowRights(question, entries, stop));
  TRY(AskSizes(question, entries, std::move(stop)));
  listing.files = FilesOf(entries);
  TRY(CheckListing(listing));
  listing.revision = RevisionOf(listing.files);
  Bytes bytes = BytesOf(entries);
  recent_.Remember(question.cache_key, std::move(entries), bytes);
  return listing;
}

Result<FileLocation> WebList::Locate(const ModelReference& reference, const Listing&,
                                     const ListedFile& file, const Credentials& credentials,
                                     std::stop_token stop) {
  Question question = TRY(QuestionOf(reference, credentials));
  std::shared_ptr<const Entries> entries = recent_.Find(question.cache_key);
  if (!entries) {
    Entries read = TRY(Read(question, stop));
    Bytes bytes = BytesOf(read);
    entries = recent_.Remember(question.cache_key, std::move(read), bytes);
  }
  auto entry = entries->find(file.path);
  if (entry == entries->end() || entry->second.sha256.Hex() != file.identity.value) {
    return Fail(Code::kOutOfRange,
                fmt::format("{}: the list at {} changed since it was read", Printable(file.path),
                            Printable(question.list.url.ToPublicString())));
  }
  WebFile found = TRY(Look(question, *entry, std::move(stop)));
  if (found.size == file.size) return std::move(found.location);
  return Fail(Code::kOutOfRange,
              fmt::format("{}: listed with {} bytes, found with {}: the file or its list changed",
                          Printable(file.path), file.size, found.size));
}

Result<WebList::Entries> WebList::Read(const Question& question, std::stop_token stop) {
  if (question.form == WebForm::kManifest) return ReadManifest(question, std::move(stop));
  return ReadSums(question, std::move(stop));
}

/// `path` beside the list, with the list's own query and credentials.
WebQuestion WebList::Below(const Question& question, const std::string& path) {
  WebQuestion below = question.list;
  std::string directory = below.url.path.substr(0, below.url.path.rfind('/') + 1);
  below.url.path = directory + PercentEncode(path, "/");
  return below;
}

Result<std::string> WebList::ReadText(const Question& question, const WebQuestion& list,
                                      Bytes limit, std::stop_token stop) {
  std::string text = TRY(reader_.Read(list, limit, std::move(stop)));
  if (question.sha256.empty()) return text;
  std::string found = Digest::Of(text).Hex();
  if (found == question.sha256) return text;
  return Fail(Code::kFailedPrecondition,
              fmt::format("{} has sha256 {}, the reference asks for {}: name the new one, or put "
                          "the old list back",
                          Printable(list.url.ToPublicString()), found, question.sha256));
}

Result<WebList::Entries> WebList::ReadSums(const Question& question, std::stop_token stop) {
  WebQuestion list = Below(question, std::string(kSha256Sums));
  Result<std::string> text = ReadText(question, list, kMaxSha256SumsBytes, std::move(stop));
  if (!text && text.error().code == Code::kNotFound) {
    return Fail(
        Code::kNotFound,
        fmt::format("{} has no {}: make one there (sha256sum files… > SHA256SUMS), or name one "
                    "file, or a manifest (…#manifest)",
                    Printable(question.list.url.ToPublicString()), kSha256Sums));
  }
  if (!text) return std::unexpected(std::move(text).error());
  std::map<std::string, Digest> sums = TRY(ParseSha256Sums(*text));
  if (sums.size() > kMostUnsized) return TooManyUnsized(sums.size(), kMostUnsized, "");
  Entries entries;
  for (const auto& [path, sha256] : sums) {
    if (path == kSha256Sums) continue;  // whatever it says of itself isn't so
    TRY(CheckPath(path));
    entries.emplace(path, Entry{.sha256 = sha256});
  }
  return entries;
}

Result<WebList::Entries> WebList::ReadManifest(const Question& question, std::stop_token stop) {
  std::string text = TRY(ReadText(question, question.list, kMaxManifestBytes, std::move(stop)));
  std::vector<ManifestEntry> files = TRY(ParseManifest(text));
  Entries entries;
  for (ManifestEntry& file : files) {
    TRY(WhereIs(question, file.path, file.url));
    Entry entry{.url = std::move(file.url), .size = file.size, .sha256 = file.sha256};
    if (entries.emplace(file.path, std::move(entry)).second) continue;
    return Fail(Code::kInvalidArgument,
                fmt::format("the manifest lists '{}' twice", Printable(file.path)));
  }
  return entries;
}

Result<WebQuestion> WebList::WhereIs(const Question& question, const std::string& path,
                                     const std::string& url) {
  if (url.empty()) return Below(question, path);
  const Url& manifest = question.list.url;
  // What holds for redirects holds for these: a list decides as little about credentials.
  Result<Url> target = RedirectTarget(manifest, url);
  if (!target) return std::unexpected(std::move(target).error().Within(Printable(path)));
  WebQuestion where{.url = *std::move(target)};
  if (!where.url.SameOrigin(manifest)) return where;
  where.credentials = question.list.credentials;
  if (where.url.query.empty()) where.url.query = manifest.query;
  return where;
}

Result<WebFile> WebList::Look(const Question& question, const Entries::value_type& entry,
                              std::stop_token stop) const {
  WebQuestion where = TRY(WhereIs(question, entry.first, entry.second.url));
  Result<WebFile> file = reader_.Look(where, std::move(stop));
  if (file) return file;
  return std::unexpected(std::move(file).error().Within("the list's " + entry.first));
}

Result<> WebList::AskSizes(const Question& question, Entries& entries, std::stop_token stop) const {
  std::vector<Entries::value_type*> unsized;
  size_t elsewhere = 0;
  for (Entries::value_type& each : entries) {
    if (each.second.size) continue;
    unsized.push_back(&each);
    WebQuestion where = TRY(WhereIs(question, each.first, each.second.url));
    elsewhere += where.url.SameOrigin(question.list.url) ? 0 : 1;
  }
  if (unsized.size() > kMostUnsized) return TooManyUnsized(unsized.size(), kMostUnsized, "");
  if (elsewhere > kMostUnsizedElsewhere) {
    return TooManyUnsized(elsewhere, kMostUnsizedElsewhere, " at other servers than the list's");
  }
  return ForEachInParallel(unsized.size(), kAskers, stop, [&](size_t index) -> Result<> {
    WebFile file = TRY(Look(question, *unsized[index], stop));
    unsized[index]->second.size = file.size;
    return {};
  });
}

Result<> WebList::ShowRights(const Question& question, const Entries& entries,
                             std::stop_token stop) const {
  std::map<std::string, const Entries::value_type*> largest;  // by directory
  for (const Entries::value_type& each : entries) {
    // What has no size is asked for anyway, and what has no bytes shows nothing.
    if (each.second.size.value_or(0) == 0) continue;
    WebQuestion where = TRY(WhereIs(question, each.first, each.second.url));
    std::string directory = where.url.path.substr(0, where.url.path.rfind('/') + 1);
    const Entries::value_type*& known = largest[where.url.Origin() + directory];
    if (known == nullptr || *each.second.size > *known->second.size) known = &each;
  }
  std::vector<const Entries::value_type*> shown;
  shown.reserve(largest.size());
  for (const auto& [directory, entry] : largest) shown.push_back(entry);
  std::ranges::sort(shown, std::ranges::greater(),
                    [](const auto* entry) { return *entry->second.size; });
  shown.resize(std::min(shown.size(), kMostShown));
  return ForEachInParallel(shown.size(), kAskers, stop, [&](size_t index) -> Result<> {
    TRY(Look(question, *shown[index], stop));
    return {};
  });
}

Bytes WebList::BytesOf(const Entries& entries) {
  constexpr Bytes kNode = 64;  // about what a map adds to each
  Bytes bytes = 0;
  for (const Entries::value_type& each : entries) {
    bytes += sizeof(each) + kNode + each.first.size() + each.second.url.size();
  }
  return bytes;
}

}  // namespace weighhouse::source
