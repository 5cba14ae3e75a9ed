#include "cache-daemon/source/gcs/gcs_source.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/file_rights.h"
#include "cache-daemon/source/object_listing.h"
#include "cache-daemon/source/sha256sums.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source {
namespace {

constexpr int kMaxGcsPages = 2000;
constexpr Bytes kGcsPageLimit = 8 * kMiB;
/// Of a location whose token is at its end: long enough to try.
constexpr std::chrono::seconds kShortestTokenLife{5};
constexpr Bytes kSmallGcsAnswer = 64 * kKiB;
constexpr std::string_view kObjectFields = "name,size,generation,crc32c,contentEncoding";
constexpr std::string_view kGeneration = "generation ";

std::string GenerationOf(const ListedFile& file) {
  std::string token = VersionTokenOf(file);
  return token.starts_with(kGeneration) ? token.substr(kGeneration.size()) : "";
}

std::string TokenOf(const GcsObject& object) {
  return fmt::format("{}{}", kGeneration, object.generation);
}

std::string SubjectOf(const std::string& bucket, const std::string& name) {
  return fmt::format("gs://{}/{}", bucket, Printable(name));
}

}  // namespace

std::vector<std::string> GcsSource::Asker::Headers() const {
  if (!token) return {};
  return {"Authorization: Bearer " + token->value};
}

GcsSource::GcsSource(Url endpoint, const GcsTokenOptions& options, std::shared_ptr<HttpClient> http,
                     std::shared_ptr<GcsTokens> tokens)
    : endpoint_(std::move(endpoint)),
      endpoint_text_(endpoint_.path == "/" ? endpoint_.Origin() : endpoint_.ToPublicString()),
      options_{.node_credentials = options.node_credentials,
               .allow_plain_http = options.allow_plain_http,
               .endpoint = endpoint_.Origin()},
      http_(std::move(http)),
      tokens_(std::move(tokens)) {}

std::string GcsSource::OriginFor(const ModelReference& reference, const Credentials&) const {
  BucketPath place = BucketPath::Of(reference);
  return fmt::format("gs+{}/{}/{}", endpoint_text_, place.bucket, place.Prefix());
}

Result<Listing> GcsSource::Resolve(const ModelReference& reference, const Credentials& credentials,
                                   std::stop_token stop) {
  BucketPath place = BucketPath::Of(reference);
  Asker asker = TRY(MakeAsker(place.bucket, credentials, stop));
  return ListObjects(
      {.origin = OriginFor(reference, credentials), .anonymous = asker.IsEverybodys()}, reference,
      [&] { return List(asker, place.Prefix(), stop); },
      [&] { return ListOne(asker, place, stop); });
}

Result<bool> GcsSource::ShowRights(const ModelReference& reference, const Credentials& credentials,
                                   const Listing& selected, std::stop_token stop) {
  BucketPath place = BucketPath::Of(reference);
  Asker asker = TRY(MakeAsker(place.bucket, credentials, stop));
  TRY(ReadEach(selected.files, stop, [&](const ListedFile& file) {
    return ReadByte(asker, KeyOf(selected, place.path, file), GenerationOf(file), stop);
  }));
  return asker.IsEverybodys();
}

Result<FileLocation> GcsSource::Locate(const ModelReference& reference, const Listing& listing,
                                       const ListedFile& file, const Credentials& credentials,
                                       std::stop_token stop) {
  BucketPath place = BucketPath::Of(reference);
  Asker asker = TRY(MakeAsker(place.bucket, credentials, stop));
  std::string name = KeyOf(listing, place.path, file);
  std::string listed = GenerationOf(file);
  Result<GcsObject> object = Look(asker, name, listed, std::move(stop));
  bool gone = !object && object.error().code == Code::kNotFound;
  if (!object && !gone) return std::unexpected(std::move(object).error());
  if (gone || object->size != file.size) {
    return Fail(Code::kOutOfRange,
                fmt::format("{}: it changed since it was listed: {} bytes, {} is no longer there",
                            Printable(file.path), file.size, Printable(file.identity.value, 80)));
  }
  FileLocation location{.url = UrlOf(asker, fmt::format("/{}?alt=media&generation={}",
                                                        PercentEncode(name), object->generation)),
                        .headers = asker.Headers(),
                        .authorised = asker.token.has_value(),
                        .checksum = object->crc32c,
                        .stored_as_is = true};
  // Else GCS unpacks it on its way, and neither size nor checksum nor ranges are the object's.
  if (object->is_gzip) location.headers.emplace_back("Accept-Encoding: gzip");
  if (asker.token) {
    location.expires_at =
        std::max(asker.token->good_until, std::chrono::steady_clock::now() + kShortestTokenLife);
  }
  return location;
}

Result<GcsSource::Asker> GcsSource::MakeAsker(const std::string& bucket,
                                              const Credentials& credentials,
                                              std::stop_token stop) {
  Asker asker{.bucket = bucket, .token = {}};
  asker.token = TRY(tokens_->Get(credentials, options_, std::move(stop)));
  return asker;
}

std::string GcsSource::UrlOf(const Asker& asker, const std::string& rest) const {
  return fmt::format("{}/storage/v1/b/{}/o{}", endpoint_text_, PercentEncode(asker.bucket), rest);
}

Result<std::string> GcsSource::Ask(const Asker& asker, const std::string& rest,
                                   const std::string& name, Bytes limit, std::stop_token stop) {
  HttpResponse response =
      TRY(http_->Send({.url = UrlOf(asker, rest), .headers = asker.Headers(), .body_limit = limit},
                      std::move(stop)));
  if (response.status() == 200) return std::move(response.body);
  return std::unexpected(GcsFailure(response, SubjectOf(asker.bucket, name), asker.Headers(),
                                    std::chrono::system_clock::now()));
}

Result<std::vector<ListedFile>> GcsSource::List(const Asker& asker, const std::string& prefix,
                                                std::stop_token stop) {
  ObjectList objects(SubjectOf(asker.bucket, prefix), prefix);
  std::string next;
  bool ended = false;
  for (int number = 0; number < kMaxGcsPages && !ended; ++number) {
    std::string rest =
        fmt::format("?prefix={}&maxResults=1000&fields={}", PercentEncode(prefix),
                    PercentEncode(fmt::format("items({}),nextPageToken", kObjectFields)));
    if (!next.empty()) rest += "&pageToken=" + PercentEncode(next);
    std::string body = TRY(Ask(asker, rest, prefix, kGcsPageLimit, stop));
    GcsPage page = TRY(ParseGcsPage(body));
    for (const GcsObject& object : page.objects) {
      TRY(objects.Add(object.name, object.size, TokenOf(object)));
    }
    ended = page.next.empty();
    if (!ended && page.next == next) break;
    next = std::move(page.next);
  }
  if (!ended) return std::unexpected(objects.TooLong());
  std::vector<ListedFile> files = objects.Take();
  if (std::ranges::find(files, kSha256Sums, &ListedFile::path) == files.end()) return files;
  std::string name = prefix + std::string(kSha256Sums);
  std::string text = TRY(ReadSums(asker, name, std::move(stop)));
  TRY(ApplySha256Text(text, SubjectOf(asker.bucket, name), files));
  return files;
}

Result<ListedFile> GcsSource::ListOne(const Asker& asker, const BucketPath& place,
                                      std::stop_token stop) {
  GcsObject object = TRY(Look(asker, place.path, "", stop));
  ListedFile file{.path = place.Name(),
                  .size = object.size,
                  .identity = VersionIdentity(TokenOf(object), place.Name())};
  std::string name = place.path.substr(0, place.path.size() - file.path.size());
  name += kSha256Sums;
  if (name == place.path) return file;
  Result<std::string> text = ReadSums(asker, name, std::move(stop));
  // To those who may not list, GCS says of what isn't there that they may not read it.
  bool none = !text && (text.error().code == Code::kNotFound || text.error().rights_may_help);
  if (none) return file;
  if (!text) return std::unexpected(std::move(text).error());
  TRY(ApplySha256Text(*text, SubjectOf(asker.bucket, name), file));
  return file;
}

Result<GcsObject> GcsSource::Look(const Asker& asker, const std::string& name,
                                  const std::string& generation, std::stop_token stop) {
  std::string rest =
      fmt::format("/{}?fields={}", PercentEncode(name), PercentEncode(kObjectFields));
  if (!generation.empty()) rest += "&generation=" + generation;
  std::string body = TRY(Ask(asker, rest, name, kMiB, std::move(stop)));
  return ParseGcsObject(body);
}

Result<std::string> GcsSource::ReadSums(const Asker& asker, const std::string& name,
                                        std::stop_token stop) {
  std::string rest = fmt::format("/{}?alt=media", PercentEncode(name));
  return Ask(asker, rest, name, kMaxSha256SumsBytes, std::move(stop));
}

Result<> GcsSource::ReadByte(const Asker& asker, const std::string& name,
                             const std::string& generation, std::stop_token stop) {
  std::string rest = fmt::format("/{}?alt=media", PercentEncode(name));
  if (!generation.empty()) rest += "&generation=" + generation;
  HttpRequest request{
      .url = UrlOf(asker, rest), .headers = asker.Headers(), .body_limit = kSmallGcsAnswer};
  request.headers.emplace_back("Range: bytes=0-0");
  Result<HttpResponse> response = http_->Send(request, stop);
  if (!response && response.error().code == Code::kInvalidArgument) {
    // All of an object comes where a range can't: its headers are enough.
    request.body_limit = 0;
    response = http_->Send(request, std::move(stop));
  }
  if (!response) return std::unexpected(std::move(response).error());
  if (HasContent(response->status())) return {};
  // It was there when it was listed: no refusal, which would take a grant.
  if (response->status() == 404 && !generation.empty()) {
    return Fail(Code::kOutOfRange, fmt::format("{}: the object changed since it was listed",
                                               SubjectOf(asker.bucket, name)));
  }
  return std::unexpected(GcsFailure(*response, SubjectOf(asker.bucket, name), asker.Headers(),
                                    std::chrono::system_clock::now()));
}

}  // namespace weighhouse::source
