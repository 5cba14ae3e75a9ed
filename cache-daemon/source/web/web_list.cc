#include "cache-daemon/source/web/web_list.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/text.h"
#include "cache-daemon/source/file_filter.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/file_rights.h"
#include "cache-daemon/source/object_listing.h"
#include "cache-daemon/source/sha256sums.h"
#include "cache-daemon/source/web/file_manifest.h"
#include "cache-daemon/source/web/in_parallel.h"
#include "cache-daemon/source/web/web_credentials.h"

namespace weighhouse::source {
namespace {

/// Files whose size is asked for at the same moment.
constexpr size_t kAskers = 8;

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
  // By what the list says, which is the same for all who may read it.
  listing.revision = RevisionOf(listing.files);
  Listing wanted = TRY(ApplyPatterns(listing, reference));
  TRY(AskSizes(question, wanted.files, entries, std::move(stop)));
  listing.files = FilesOf(entries);
  TRY(CheckListing(listing));
  Bytes bytes = BytesOf(entries);
  recent_.Remember(question.cache_key, std::move(entries), bytes);
  return listing;
}

Result<bool> WebList::ShowRights(const ModelReference& reference, const Credentials& credentials,
                                 const Listing& selected, std::stop_token stop) {
  Question question = TRY(QuestionOf(reference, credentials));
  std::shared_ptr<const Entries> entries = TRY(LatelyRead(question, stop));
  auto show = [&](const ListedFile& file) -> Result<> {
    const Entries::value_type* entry = TRY(Find(question, *entries, file));
    if (entry->second.asked) return {};
    WebFile found = TRY(Look(question, *entry, stop));
    return CheckShown(file, found.size, "the list's " + file.path);
  };
  std::vector<ListedFile> asked = TRY(ToShow(question, *entries, selected.files));
  TRY(ReadEach(asked, stop, show));
  return selected.anonymous;
}

Result<std::vector<ListedFile>> WebList::ToShow(const Question& question, const Entries& entries,
                                                std::vector<ListedFile> files) {
  std::ranges::sort(files, std::ranges::greater{}, &ListedFile::size);
  std::vector<ListedFile> asked;
  size_t elsewhere = 0;
  for (ListedFile& file : files) {
    const Entries::value_type* entry = TRY(Find(question, entries, file));
    WebQuestion where = TRY(WhereIs(question, file.path, entry->second.url));
    bool is_elsewhere = !where.url.SameOrigin(question.list.url);
    if (is_elsewhere && ++elsewhere > kMostAskedElsewhere) continue;
    asked.push_back(std::move(file));
  }
  return asked;
}

Result<FileLocation> WebList::Locate(const ModelReference& reference, const Listing&,
                                     const ListedFile& file, const Credentials& credentials,
                                     std::stop_token stop) {
  Question question = TRY(QuestionOf(reference, credentials));
  std::shared_ptr<const Entries> entries = TRY(LatelyRead(question, stop));
  const Entries::value_type* entry = TRY(Find(question, *entries, file));
  WebFile found = TRY(Look(question, *entry, std::move(stop)));
  if (found.size == file.size) return std::move(found.location);
  return Fail(Code::kOutOfRange,
              fmt::format("{}: listed with {} bytes, found with {}: the file or its list changed",
                          Printable(file.path), file.size, found.size));
}

Result<std::shared_ptr<const WebList::Entries>> WebList::LatelyRead(const Question& question,
                                                                    std::stop_token stop) {
  std::shared_ptr<const Entries> lately = recent_.Find(question.cache_key);
  if (lately) return lately;
  Entries read = TRY(Read(question, std::move(stop)));
  Bytes bytes = BytesOf(read);
  return recent_.Remember(question.cache_key, std::move(read), bytes);
}

Result<const WebList::Entries::value_type*> WebList::Find(const Question& question,
                                                          const Entries& entries,
                                                          const ListedFile& file) {
  auto entry = entries.find(file.path);
  bool same = entry != entries.end() && entry->second.sha256.Hex() == file.identity.value;
  if (same) return &*entry;
  return Fail(Code::kOutOfRange,
              fmt::format("{}: the list at {} changed since it was read", Printable(file.path),
                          Printable(question.list.url.ToPublicString())));
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

Result<> WebList::AskSizes(const Question& question, const std::vector<ListedFile>& wanted,
                           Entries& entries, std::stop_token stop) const {
  std::vector<Entries::value_type*> unsized;
  size_t elsewhere = 0;
  for (Entries::value_type& each : entries) {
    if (each.second.size) continue;
    unsized.push_back(&each);
    WebQuestion where = TRY(WhereIs(question, each.first, each.second.url));
    elsewhere += where.url.SameOrigin(question.list.url) ? 0 : 1;
  }
  if (unsized.size() > kMostUnsized) return TooManyUnsized(unsized.size(), kMostUnsized, "");
  if (elsewhere > kMostAskedElsewhere) {
    return TooManyUnsized(elsewhere, kMostAskedElsewhere, " at other servers than the list's");
  }
  return ForEachInParallel(unsized.size(), kAskers, stop, [&](size_t index) -> Result<> {
    auto& [path, entry] = *unsized[index];
    Result<WebFile> file = Look(question, *unsized[index], stop);
    if (file) {
      entry.size = file->size;
      entry.asked = true;
      return {};
    }
    // Who asks for a part of the list needs no right to the rest, and servers say "not found", too.
    bool is_wanted = std::ranges::binary_search(wanted, path, {}, &ListedFile::path);
    bool is_refused = file.error().rights_may_help || file.error().code == Code::kNotFound;
    if (is_refused && !is_wanted) return {};
    return std::unexpected(std::move(file).error());
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
