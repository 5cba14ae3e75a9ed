#include "cache-daemon/source/s3/s3_source.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/file_rights.h"
#include "cache-daemon/source/object_listing.h"
#include "cache-daemon/source/redirects.h"
#include "cache-daemon/source/sha256sums.h"
#include "cache-daemon/source/signed_url.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source {
namespace {

using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr int kMaxS3Pages = 2000;
/// 1000 keys of 1024 octets, each percent-encoded, and what XML adds.
constexpr Bytes kPageLimit = 8 * kMiB;
/// Clocks may differ by 15 minutes less than this (facts/model-sources.md 3).
constexpr std::chrono::minutes kSignatureLife{10};
constexpr std::string_view kFirstByte = "Range: bytes=0-0";
constexpr Bytes kSmallAnswer = 64 * kKiB;
constexpr std::chrono::seconds kKeyMargin{60};
/// Of a location whose keys are at their end: long enough to try.
constexpr std::chrono::seconds kShortestLife{5};
constexpr std::string_view kEtagged = "etag ";

/// (Some services quote ETags in one answer and not in another.)
std::string TokenOf(const S3Object& object) {
  return fmt::format("{}{}", kEtagged, UnquoteEtag(object.etag));
}

ListedFile ToFile(const S3Object& object, std::string path) {
  FileIdentity identity = VersionIdentity(TokenOf(object), path);
  return {.path = std::move(path), .size = object.size, .identity = std::move(identity)};
}

/// The ETag that a file was listed with; "" where its identity is another.
std::string EtagOf(const ListedFile& file) {
  std::string token = VersionTokenOf(file);
  return token.starts_with(kEtagged) ? token.substr(kEtagged.size()) : "";
}

Error FailureOf(const S3Client::Answer& answer, const S3Access& access, const std::string& key) {
  S3Question question = access.QuestionAbout(key);
  question.headers = answer.signed_headers;
  return S3Failure(answer.response, question, system_clock::now());
}

Error Changed(const ListedFile& file, const S3Object& found) {
  return {.code = Code::kOutOfRange,
          .message = fmt::format(
              "{}: it changed since it was listed: listed {} bytes, {}; found {} bytes, etag {}",
              Printable(file.path), file.size, Printable(file.identity.value, 80), found.size,
              Printable(found.etag, 80))};
}

/// When the object must be located again: before S3 forgets the signature's time, and before keys
/// end, which it says by a refusal that looks like a broken request.
steady_clock::time_point SignatureEnd(const S3Access& access) {
  steady_clock::time_point now = steady_clock::now();
  auto left = access.keys_end - now;
  left -= std::min<steady_clock::duration>(kKeyMargin, left / 10);
  return now + std::clamp<steady_clock::duration>(left, kShortestLife, kSignatureLife);
}

/// Where a redirect leads. What it names may repeat what it was asked with.
Result<Url> TargetOf(const S3Client::Answer& answer) {
  Result<Url> target = RedirectTarget(answer.url, answer.response.headers.Find("location"));
  if (target) return target;
  Error error = std::move(target).error();
  error.message =
      WithoutSecrets(std::move(error.message), answer.url.ToString(), answer.signed_headers);
  return std::unexpected(std::move(error));
}

std::string IfMatch(const std::string& etag) {
  bool quoted = etag.starts_with('"') || etag.starts_with("W/");
  return quoted ? "If-Match: " + etag : fmt::format("If-Match: \"{}\"", etag);
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

std::string S3Source::OriginFor(const ModelReference& reference,
                                const Credentials& credentials) const {
  BucketPath place = BucketPath::Of(reference);
  Result<S3Access> access = S3PlaceFor(settings_, place.bucket, credentials);
  // Nothing is of an endpoint that can't be used.
  if (!access) return "s3+";
  return access->place.Origin(access->region) + place.Prefix();
}

std::string S3Source::ElsewhereFor(const ModelReference& reference,
                                   const Credentials& credentials) const {
  BucketPath place = BucketPath::Of(reference);
  Result<S3Access> access = S3PlaceFor(settings_, place.bucket, credentials);
  if (!access || !access->is_elsewhere) return "";
  Url endpoint = *access->place.endpoint;
  // Another name of the same host to DNS, but not to a rule.
  if (endpoint.host.ends_with('.')) endpoint.host.pop_back();
  std::string text = endpoint.ToPublicString();
  if (text.ends_with('/')) text.pop_back();
  return fmt::format("s3+{}/{}", text,
                     place.path.empty() ? place.bucket : place.bucket + "/" + place.path);
}

Result<Listing> S3Source::Resolve(const ModelReference& reference, const Credentials& credentials,
                                  std::stop_token stop) {
  BucketPath place = BucketPath::Of(reference);
  S3Access access = TRY(S3AccessFor(settings_, place.bucket, credentials, node_keys_.get(), stop));
  return ListObjects(
      {.origin = access.place.Origin(access.region) + place.Prefix(),
       .anonymous = access.IsEverybodys()},
      reference, [&] { return List(access, place.Prefix(), stop); },
      [&] { return ListOne(access, place, stop); });
}

Result<bool> S3Source::ShowRights(const ModelReference& reference, const Credentials& credentials,
                                  const Listing& selected, std::stop_token stop) {
  BucketPath place = BucketPath::Of(reference);
  S3Access access = TRY(S3AccessFor(settings_, place.bucket, credentials, node_keys_.get(), stop));
  TRY(ReadEach(selected.files, stop, [&](const ListedFile& file) {
    return ReadByte(access, KeyOf(selected, place.path, file), file, stop);
  }));
  return access.IsEverybodys();
}

Result<std::vector<ListedFile>> S3Source::List(const S3Access& access, const std::string& prefix,
                                               std::stop_token stop) {
  ObjectList objects(access.QuestionAbout(prefix).subject, prefix);
  std::optional<std::string> next;
  bool ended = false;
  for (int number = 0; number < kMaxS3Pages && !ended; ++number) {
    // Parameters sorted by name, as the signature wants them.
    std::string query = next ? fmt::format("continuation-token={}&", PercentEncode(*next)) : "";
    S3Page page = TRY(ListPage(access, query + ListQuery(prefix, 1000), prefix, stop));
    for (const S3Object& object : page.objects) {
      TRY(objects.Add(object.key, object.size, TokenOf(object)));
    }
    ended = !page.next;
    if (!ended && page.next == next) break;
    next = std::move(page.next);
  }
  if (!ended) return std::unexpected(objects.TooLong());
  std::vector<ListedFile> files = objects.Take();
  if (std::ranges::find(files, kSha256Sums, &ListedFile::path) == files.end()) return files;
  std::string key = prefix + std::string(kSha256Sums);
  std::string text = TRY(ReadSmall(access, key, std::move(stop)));
  TRY(ApplySha256Text(text, access.QuestionAbout(key).subject, files));
  return files;
}

Result<ListedFile> S3Source::ListOne(const S3Access& access, const BucketPath& place,
                                     std::stop_token stop) {
  Found found = TRY(Look(access, place.path, stop));
  ListedFile file = ToFile(found.object, place.Name());
  std::string key = place.path.substr(0, place.path.size() - file.path.size());
  key += kSha256Sums;
  if (key == place.path) return file;
  Result<std::string> text = ReadSmall(access, key, std::move(stop));
  // To those who may not list, S3 says of what isn't there that they may not read it.
  bool none = !text && (text.error().code == Code::kNotFound || text.error().rights_may_help);
  if (none) return file;
  if (!text) return std::unexpected(std::move(text).error());
  TRY(ApplySha256Text(*text, access.QuestionAbout(key).subject, file));
  return file;
}

Result<S3Page> S3Source::ListPage(const S3Access& access, const std::string& query,
                                  const std::string& about, std::stop_token stop) {
  S3Client::Answer answer = TRY(client_->Send(
      access, {.key = "", .query = query, .body_limit = kPageLimit}, std::move(stop)));
  if (answer.response.status() != 200) return std::unexpected(FailureOf(answer, access, about));
  return ParseS3Page(answer.response.body);
}

Result<std::string> S3Source::ReadSmall(const S3Access& access, const std::string& key,
                                        std::stop_token stop) {
  S3Client::Answer answer =
      TRY(client_->Send(access, {.key = key, .body_limit = kMaxSha256SumsBytes}, stop));
  // The service may send to where it lies, as it may for every object.
  if (IsRedirect(answer.response)) {
    Url url = TRY(TargetOf(answer));
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
  if (IsRedirect(answer.response)) return LookInList(access, key, std::move(stop));
  if (headers.status() == 400) {
    // Keys that ended are refused so, and to a HEAD nothing says why.
    S3Client::Answer said = TRY(AskForByte(access, key, std::move(stop)));
    if (!HasContent(said.response.status())) answer = std::move(said);
    return std::unexpected(FailureOf(answer, access, key));
  }
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
  if (object.size != file.size || (!listed.empty() && listed != UnquoteEtag(object.etag))) {
    return std::unexpected(Changed(file, object));
  }
  FileLocation location{.checksum = std::move(found.checksum), .stored_as_is = true};
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
  location.headers.push_back(IfMatch(object.etag));
  location.authorised = access.keys.has_value();
  if (access.keys) location.expires_at = SignatureEnd(access);
  return location;
}

Result<S3Client::Answer> S3Source::AskForByte(const S3Access& access, const std::string& key,
                                              std::stop_token stop, const std::string& etag) {
  S3Client::Request request{
      .key = key, .headers = {std::string(kFirstByte)}, .body_limit = kSmallAnswer};
  if (!etag.empty()) request.headers.push_back(IfMatch(etag));
  Result<S3Client::Answer> answer = client_->Send(access, request, stop);
  if (answer || answer.error().code != Code::kInvalidArgument) return answer;
  // A service that ignores Range sends all of the object: its headers are enough.
  request.body_limit = 0;
  return client_->Send(access, request, std::move(stop));
}

Result<> S3Source::ReadByte(const S3Access& access, const std::string& key, const ListedFile& file,
                            std::stop_token stop) {
  // Of the version that was listed: rights to a later one would be shown for the bytes of this.
  S3Client::Answer answer = TRY(AskForByte(access, key, stop, EtagOf(file)));
  if (IsRedirect(answer.response)) {
    Url url = TRY(TargetOf(answer));
    RedirectedRequest request{
        .url = std::move(url), .headers = {std::string(kFirstByte)}, .body_limit = 0};
    RedirectedResponse moved = TRY(SendRedirected(*http_, request, std::move(stop)));
    answer.response = std::move(moved.response);
  }
  if (HasContent(answer.response.status())) {
    return CheckShown(file, WholeSize(answer.response.headers), access.QuestionAbout(key).subject);
  }
  // Only who has the right is told that an archived object can't be read now.
  if (access.keys && IsArchived(answer.response)) return {};
  return std::unexpected(FailureOf(answer, access, key));
}

Result<std::optional<Url>> S3Source::RedirectOf(const S3Access& access, const std::string& key,
                                                std::stop_token stop) {
  S3Client::Answer answer = TRY(AskForByte(access, key, std::move(stop)));
  if (IsRedirect(answer.response)) {
    Url url = TRY(TargetOf(answer));
    return std::optional(std::move(url));
  }
  bool empty_file = answer.response.status() == 416;
  if (HasContent(answer.response.status()) || empty_file) return std::nullopt;
  return std::unexpected(FailureOf(answer, access, key));
}

}  // namespace weighhouse::source
