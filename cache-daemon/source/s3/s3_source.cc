#include "cache-daemon/source/s3/s3_source.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/object_listing.h"
#include "cache-daemon/source/redirects.h"
#include "cache-daemon/source/sha256sums.h"
#include "cache-daemon/source/signed_url.h"

namespace weighhouse::source {
namespace {

using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr int kMaxS3Pages = 2000;
/// 1000 keys of 1024 octets, each percent-encoded, and what XML adds.
constexpr Bytes kPageLimit = 8 * kMiB;
/// Clocks may differ by 15 minutes less than this (facts/model-sources.md 3).
constexpr std::chrono::minutes kSignatureLife{10};
constexpr std::string_view kEtagged = "etag ";

ListedFile ToFile(const S3Object& object, std::string path) {
  FileIdentity identity = VersionIdentity(fmt::format("{}{}", kEtagged, object.etag), path);
  return {.path = std::move(path), .size = object.size, .identity = std::move(identity)};
}

/// The ETag that a file was listed with; "" where its identity is another.
std::string EtagOf(const ListedFile& file) {
  std::string token = VersionTokenOf(file);
  return token.starts_with(kEtagged) ? token.substr(kEtagged.size()) : "";
}

Error FailureOf(const S3Client::Answer& answer, const S3Access& access, const std::string& key) {
  return S3Failure(answer.response, access.QuestionAbout(key), system_clock::now());
}

Error Changed(const ListedFile& file, const S3Object& found) {
  return {.code = Code::kOutOfRange,
          .message = fmt::format(
              "{}: it changed since it was listed: listed {} bytes, {}; found {} bytes, etag {}",
              Printable(file.path), file.size, Printable(file.identity.value, 80), found.size,
              Printable(found.etag, 80))};
}

bool IsRedirection(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string ListQuery(std::string_view prefix, int most_keys) {
  return fmt::format("encoding-type=url&list-type=2&max-keys={}&prefix={}", most_keys,
                     PercentEncode(prefix));
}

}  // namespace

S3Source::S3Source(S3Settings settings, std::shared_ptr<S3Client> client,
                   std::shared_ptr<HttpClient> http, std::shared_ptr<AwsNodeKeys> node_keys)
    : settings_(std::move(settings)),
      client_(std::move(client)),
      http_(std::move(http)),
      node_keys_(std::move(node_keys)) {}

Result<Listing> S3Source::Resolve(const ModelReference& reference, const Credentials& credentials,
                                  std::stop_token stop) {
  BucketPath place = BucketPath::Of(reference);
  S3Access access = TRY(S3AccessFor(settings_, place.bucket, credentials, node_keys_.get(), stop));
  Listing listing{.origin = access.place.Origin(access.region) + place.Prefix(),
                  .anonymous = !access.keys || access.of_node};
  Result<std::vector<S3Object>> objects = List(access, place.Prefix(), stop);
  // Whoever may not list may still be allowed to read the one object.
  bool may_be_one = objects ? objects->empty() : objects.error().rights_may_help;
  if (may_be_one && !place.path.empty()) {
    Result<Found> one = Look(access, place.path, stop);
    if (!one) return std::unexpected(objects ? std::move(one).error() : objects.error());
    listing.origin.pop_back();
    listing.files = {ToFile(one->object, place.Name())};
  } else if (!objects) {
    return std::unexpected(std::move(objects).error());
  } else {
    listing.files = TRY(FilesBelow(access, place.Prefix(), *objects, stop));
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

Result<std::vector<S3Object>> S3Source::List(const S3Access& access, const std::string& prefix,
                                             std::stop_token stop) {
  std::vector<S3Object> objects;
  std::optional<std::string> next;
  for (int number = 0; number < kMaxS3Pages && objects.size() <= kMaxFiles; ++number) {
    // Parameters sorted by name, as the signature wants them.
    std::string query = next ? fmt::format("continuation-token={}&", PercentEncode(*next)) : "";
    S3Page page = TRY(ListPage(access, query + ListQuery(prefix, 1000), prefix, stop));
    std::ranges::move(page.objects, std::back_inserter(objects));
    if (!page.next) return objects;
    if (page.next == next) break;
    next = std::move(page.next);
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("the list of s3://{}/{} doesn't end, or has over {} objects: name a "
                          "longer prefix",
                          access.place.bucket, Printable(prefix), kMaxFiles));
}

Result<S3Page> S3Source::ListPage(const S3Access& access, const std::string& query,
                                  const std::string& about, std::stop_token stop) {
  S3Client::Answer answer = TRY(client_->Send(
      access, {.key = "", .query = query, .body_limit = kPageLimit}, std::move(stop)));
  if (answer.response.status() != 200) return std::unexpected(FailureOf(answer, access, about));
  return ParseS3Page(answer.response.body);
}

Result<std::vector<ListedFile>> S3Source::FilesBelow(const S3Access& access,
                                                     const std::string& prefix,
                                                     const std::vector<S3Object>& objects,
                                                     std::stop_token stop) {
  std::vector<ListedFile> files;
  bool has_sums = false;
  for (const S3Object& object : objects) {
    if (!object.key.starts_with(prefix)) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("the bucket lists '{}', which isn't below '{}': refused",
                              Printable(object.key), Printable(prefix)));
    }
    files.push_back(ToFile(object, object.key.substr(prefix.size())));
    has_sums = has_sums || files.back().path == kSha256Sums;
  }
  if (!has_sums) return files;
  std::string key = prefix + std::string(kSha256Sums);
  std::string text = TRY(ReadSmall(access, key, std::move(stop)));
  auto sums = ParseSha256Sums(text);
  if (!sums) {
    return std::unexpected(
        std::move(sums).error().Within(Printable(access.QuestionAbout(key).subject)));
  }
  ApplySha256Sums(*sums, files);
  return files;
}

Result<std::string> S3Source::ReadSmall(const S3Access& access, const std::string& key,
                                        std::stop_token stop) {
  S3Client::Answer answer =
      TRY(client_->Send(access, {.key = key, .body_limit = kMaxSha256SumsBytes}, stop));
  // The service may send to where it lies, as it may for every object.
  if (IsRedirection(answer.response.status()) && answer.response.headers.Has("location")) {
    Url url = TRY(RedirectTarget(answer.url, answer.response.headers.Find("location")));
    RedirectedResponse moved = TRY(SendRedirected(
        *http_, {.url = std::move(url), .body_limit = kMaxSha256SumsBytes}, std::move(stop)));
    answer.response = std::move(moved.response);
  }
  if (answer.response.status() != 200) return std::unexpected(FailureOf(answer, access, key));
  return std::move(answer.response.body);
}

Result<S3Source::Found> S3Source::Look(const S3Access& access, const std::string& key,
                                       std::stop_token stop) {
  S3Client::Answer answer = TRY(client_->Send(access,
                                              {.method = HttpMethod::kHead,
                                               .key = key,
                                               .amz_headers = {{"x-amz-checksum-mode", "ENABLED"}}},
                                              stop));
  const HttpHeaders& headers = answer.response.headers;
  if (IsRedirection(headers.status())) return LookInList(access, key, std::move(stop));
  if (headers.status() != 200) return std::unexpected(FailureOf(answer, access, key));
  std::optional<Bytes> size = ParseNumber(headers.Find("content-length"));
  if (size && headers.Has("etag")) {
    return Found{.object = {.key = key, .size = *size, .etag = std::string(headers.Find("etag"))},
                 .checksum = S3ChecksumOf(headers)};
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("{}: the service gives no ETag or no size, so a change could not be "
                          "noticed",
                          Printable(access.QuestionAbout(key).subject)));
}

Result<S3Source::Found> S3Source::LookInList(const S3Access& access, const std::string& key,
                                             std::stop_token stop) {
  S3Page page = TRY(ListPage(access, ListQuery(key, 1), key, std::move(stop)));
  // Of all keys that begin so, it comes first.
  if (!page.objects.empty() && page.objects[0].key == key) {
    return Found{.object = std::move(page.objects[0]), .checksum = {}};
  }
  return Fail(Code::kNotFound,
              fmt::format("{}: it isn't there", Printable(access.QuestionAbout(key).subject)));
}

Result<FileLocation> S3Source::Locate(const ModelReference& reference, const Listing& listing,
                                      const ListedFile& file, const Credentials& credentials,
                                      std::stop_token stop) {
  BucketPath place = BucketPath::Of(reference);
  S3Access access = TRY(S3AccessFor(settings_, place.bucket, credentials, node_keys_.get(), stop));
  std::string key = KeyOf(listing, place.path, file);
  Found found = TRY(Look(access, key, stop));
  const S3Object& object = found.object;
  std::string listed = EtagOf(file);
  if (object.size != file.size || (!listed.empty() && listed != object.etag)) {
    return std::unexpected(Changed(file, object));
  }
  FileLocation location{.checksum = std::move(found.checksum)};
  // AWS itself never sends a reader elsewhere.
  std::optional<Url> moved;
  if (access.place.endpoint) moved = TRY(RedirectOf(access, key, stop));
  if (moved) {
    location.url = moved->ToString();
    location.expires_at = SignedUrlDeadline(*moved);
    return location;
  }
  S3Client::SignedGet get = TRY(client_->SignGet(access, key));
  location.url = get.url.ToString();
  location.headers = std::move(get.headers);
  location.headers.push_back(fmt::format("If-Match: {}", object.etag));
  location.authorised = access.keys.has_value();
  if (access.keys) location.expires_at = steady_clock::now() + kSignatureLife;
  return location;
}

Result<std::optional<Url>> S3Source::RedirectOf(const S3Access& access, const std::string& key,
                                                std::stop_token stop) {
  S3Client::Answer answer = TRY(client_->Send(
      access, {.key = key, .headers = {"Range: bytes=0-0"}, .body_limit = 0}, std::move(stop)));
  int status = answer.response.status();
  if (IsRedirection(status) && answer.response.headers.Has("location")) {
    Url url = TRY(RedirectTarget(answer.url, answer.response.headers.Find("location")));
    return std::optional(std::move(url));
  }
  bool empty_file = status == 416;
  if (status == 200 || status == 206 || empty_file) return std::nullopt;
  return std::unexpected(FailureOf(answer, access, key));
}

}  // namespace weighhouse::source
