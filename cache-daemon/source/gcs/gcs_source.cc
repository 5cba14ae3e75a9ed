#include "cache-daemon/source/gcs/gcs_source.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/object_listing.h"
#include "cache-daemon/source/sha256sums.h"

namespace weighhouse::source {
namespace {

constexpr int kMaxGcsPages = 2000;
constexpr Bytes kGcsPageLimit = 8 * kMiB;
constexpr std::string_view kObjectFields = "name,size,generation,crc32c,contentEncoding";
constexpr std::string_view kGeneration = "generation ";

std::string GenerationOf(const ListedFile& file) {
  std::string token = VersionTokenOf(file);
  return token.starts_with(kGeneration) ? token.substr(kGeneration.size()) : "";
}

ListedFile ToFile(const GcsObject& object, std::string path) {
  FileIdentity identity =
      VersionIdentity(fmt::format("{}{}", kGeneration, object.generation), path);
  return {.path = std::move(path), .size = object.size, .identity = std::move(identity)};
}

}  // namespace

std::vector<std::string> GcsSource::Asker::Headers() const {
  if (!token) return {};
  return {"Authorization: Bearer " + token->value};
}

GcsSource::GcsSource(Url endpoint, GcsTokenOptions options, std::shared_ptr<HttpClient> http,
                     std::shared_ptr<GcsTokens> tokens)
    : endpoint_(std::move(endpoint)),
      endpoint_text_(endpoint_.path == "/" ? endpoint_.Origin() : endpoint_.ToPublicString()),
      options_(options),
      http_(std::move(http)),
      tokens_(std::move(tokens)) {}

Result<Listing> GcsSource::Resolve(const ModelReference& reference, const Credentials& credentials,
                                   std::stop_token stop) {
  BucketPath place = BucketPath::Of(reference);
  Asker asker = TRY(MakeAsker(place.bucket, credentials, stop));
  const std::string prefix = place.Prefix();
  Listing listing{.origin = fmt::format("gs+{}/{}/{}", endpoint_text_, place.bucket, prefix),
                  .anonymous = !asker.token || asker.token->of_node};
  Result<std::vector<GcsObject>> objects = List(asker, prefix, stop);
  // Whoever may not list may still be allowed to read the one object.
  bool may_be_one = objects ? objects->empty() : objects.error().rights_may_help;
  if (may_be_one && !place.path.empty()) {
    Result<GcsObject> one = Look(asker, place.path, "", stop);
    if (!one) return std::unexpected(objects ? std::move(one).error() : objects.error());
    listing.origin.pop_back();
    listing.files = {ToFile(*one, place.Name())};
  } else if (!objects) {
    return std::unexpected(std::move(objects).error());
  } else {
    for (const GcsObject& object : *objects) {
      if (!object.name.starts_with(prefix)) {
        return Fail(Code::kInvalidArgument,
                    fmt::format("the bucket lists '{}', which isn't below '{}': refused",
                                Printable(object.name), Printable(prefix)));
      }
      listing.files.push_back(ToFile(object, object.name.substr(prefix.size())));
    }
    TRY(ApplySums(asker, prefix, listing, stop));
  }
  if (listing.files.empty()) {
    return Fail(Code::kNotFound,
                fmt::format("{}: the bucket is empty", Printable(reference.ToString())));
  }
  std::ranges::sort(listing.files);
  TRY(CheckListing(listing));
  listing.revision = RevisionOf(listing.files);
  return listing;
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
                        .checksum = object->crc32c};
  if (asker.token) location.expires_at = asker.token->good_until;
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
  return std::unexpected(GcsFailure(response, fmt::format("gs://{}/{}", asker.bucket, name),
                                    asker.token.has_value(), std::chrono::system_clock::now()));
}

Result<std::vector<GcsObject>> GcsSource::List(const Asker& asker, const std::string& prefix,
                                               std::stop_token stop) {
  std::vector<GcsObject> objects;
  std::string next;
  for (int number = 0; number < kMaxGcsPages && objects.size() <= kMaxFiles; ++number) {
    std::string rest =
        fmt::format("?prefix={}&maxResults=1000&fields={}", PercentEncode(prefix),
                    PercentEncode(fmt::format("items({}),nextPageToken", kObjectFields)));
    if (!next.empty()) rest += "&pageToken=" + PercentEncode(next);
    std::string body = TRY(Ask(asker, rest, prefix, kGcsPageLimit, stop));
    GcsPage page = TRY(ParseGcsPage(body));
    std::ranges::move(page.objects, std::back_inserter(objects));
    if (page.next.empty()) return objects;
    if (page.next == next) break;
    next = std::move(page.next);
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("the list of gs://{}/{} doesn't end, or has over {} objects: name a "
                          "longer prefix",
                          asker.bucket, Printable(prefix), kMaxFiles));
}

Result<GcsObject> GcsSource::Look(const Asker& asker, const std::string& name,
                                  const std::string& generation, std::stop_token stop) {
  std::string rest =
      fmt::format("/{}?fields={}", PercentEncode(name), PercentEncode(kObjectFields));
  if (!generation.empty()) rest += "&generation=" + generation;
  std::string body = TRY(Ask(asker, rest, name, kMiB, std::move(stop)));
  return ParseGcsObject(body);
}

Result<> GcsSource::ApplySums(const Asker& asker, const std::string& prefix, Listing& listing,
                              std::stop_token stop) {
  auto sums_file = std::ranges::find(listing.files, kSha256Sums, &ListedFile::path);
  if (sums_file == listing.files.end()) return {};
  std::string name = prefix + std::string(kSha256Sums);
  std::string rest = fmt::format("/{}?alt=media", PercentEncode(name));
  std::string body = TRY(Ask(asker, rest, name, kMaxSha256SumsBytes, std::move(stop)));
  auto sums = ParseSha256Sums(body);
  if (!sums) {
    return std::unexpected(
        std::move(sums).error().Within(fmt::format("gs://{}/{}", asker.bucket, Printable(name))));
  }
  ApplySha256Sums(*sums, listing.files);
  return {};
}

}  // namespace weighhouse::source
