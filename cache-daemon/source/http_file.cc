#include "cache-daemon/source/http_file.h"

#include <chrono>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/signed_url.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source {
namespace {

using std::chrono::system_clock;

/// Longer ones are no change tokens but somebody's joke.
constexpr size_t kMaxTokenBytes = 256;

/// The whole file's size by `headers`: of a 206 the total, else Content-Length.
std::optional<Bytes> SizeOf(const HttpHeaders& headers) {
  if (headers.status() != 206) return ParseNumber(headers.Find("content-length"));
  auto range = ParseContentRange(headers.Find("content-range"));
  return range ? range->total : std::nullopt;
}

Result<std::string> NameOf(const Url& url) {
  auto name = PercentDecode(std::string_view(url.path).substr(url.path.rfind('/') + 1));
  if (!name || name->contains('/')) {
    return Fail(Code::kInvalidArgument, fmt::format("'{}' has no usable file name at its end",
                                                    Printable(url.ToPublicString())));
  }
  TRY(CheckPath(*name));
  return std::move(*name);
}

bool IsToken(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTokenBytes &&
         Printable(text, kMaxTokenBytes + 1) == text;
}

struct Version {
  FileIdentity identity;
  std::vector<std::string> conditions;
};

/// What tells this version of the file from others (RFC 9110 section 8.8: a weak ETag doesn't).
Result<Version> VersionOf(const HttpHeaders& headers, Bytes size, const ModelReference& reference,
                          const Url& url) {
  std::string_view etag = headers.Find("etag"), modified = headers.Find("last-modified");
  Version version;
  bool strong = IsToken(etag) && etag.size() > 2 && etag.front() == '"' && etag.back() == '"';
  if (strong) {
    version.identity.value = fmt::format("etag {}", etag);
    version.conditions = {fmt::format("If-Match: {}", etag)};
  } else if (IsToken(modified)) {
    version.identity.value = fmt::format("modified {} size {}", modified, size);
    version.conditions = {fmt::format("If-Unmodified-Since: {}", modified)};
  }
  if (reference.expected_sha256) {
    version.identity = {FileIdentity::Kind::kSha256, reference.expected_sha256->Hex()};
  } else if (version.identity.value.empty()) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("{} gives neither a strong ETag nor Last-Modified, so a change could not be "
                    "noticed: name the content, {}#sha256=<hex>",
                    url.HostAndPort(), Printable(url.ToPublicString())));
  }
  return version;
}

/// The file's origin: its URL without a signature. What else of the query may choose the file is
/// told apart by its digest.
std::string OriginOf(const Url& url) {
  std::string chooses = IsSigned(url) ? UnsignedQuery(url) : url.query;
  if (chooses.empty()) return url.ToPublicString();
  return fmt::format("{}?{}", url.ToPublicString(), Digest::Of(chooses).Hex());
}

Error Failure(const RedirectedResponse& answer, const Url& asked) {
  std::string body = WithoutSecrets(answer.response.body, answer.url.ToString(), {});
  body = WithoutSecrets(std::move(body), asked.ToString(), {});
  return AnswerFailure(answer.response.headers, body, system_clock::now())
      .Within(Printable(asked.ToPublicString()));
}

}  // namespace

HttpFile::HttpFile(std::shared_ptr<HttpClient> client) : client_(std::move(client)) {}

Result<Listing> HttpFile::Resolve(const ModelReference& reference, const Credentials&,
                                  std::stop_token stop) {
  Url url = TRY(Url::Parse(reference.uri));
  Found found = TRY(Look(reference, std::move(stop)));
  Listing listing{.origin = OriginOf(url),
                  .revision = Digest::Of(found.file.identity.value).Hex(),
                  .anonymous = url.query.empty(),
                  .files = {std::move(found.file)}};
  TRY(CheckListing(listing));
  return listing;
}

Result<FileLocation> HttpFile::Locate(const ModelReference& reference, const Listing&,
                                      const ListedFile& file, const Credentials&,
                                      std::stop_token stop) {
  Found found = TRY(Look(reference, std::move(stop)));
  if (found.file != file) {
    return Fail(
        Code::kOutOfRange,
        fmt::format("{}: it changed since it was listed: listed {} bytes, {}; found {} bytes, {}",
                    Printable(file.path), file.size, Printable(file.identity.value, 80),
                    found.file.size, Printable(found.file.identity.value, 80)));
  }
  FileLocation location{.url = found.url.ToString(), .headers = std::move(found.conditions)};
  if (IsSigned(found.url)) location.expires_at = SignedUrlDeadline(found.url);
  return location;
}

Result<HttpFile::Found> HttpFile::Look(const ModelReference& reference, std::stop_token stop) {
  Url url = TRY(Url::Parse(reference.uri));
  std::string name = TRY(NameOf(url));
  RedirectedResponse answer = TRY(Ask(url, std::move(stop)));
  if (!HasContent(answer.response.status())) return std::unexpected(Failure(answer, url));
  std::optional<Bytes> size = SizeOf(answer.response.headers);
  if (!size) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("{} doesn't tell the size of {}: only files of known size can be served",
                    answer.url.HostAndPort(), Printable(url.ToPublicString())));
  }
  Version version = TRY(VersionOf(answer.response.headers, *size, reference, url));
  return Found{.file = {.path = std::move(name), .size = *size, .identity = version.identity},
               .url = answer.url,
               .conditions = std::move(version.conditions)};
}

Result<RedirectedResponse> HttpFile::Ask(const Url& url, std::stop_token stop) {
  RedirectedRequest request{.method = HttpMethod::kHead, .url = url};
  RedirectedResponse head = TRY(SendRedirected(*client_, request, stop));
  int status = head.response.status();
  bool final = status == 404 || status == 410 || status == 429 || status >= 500;
  if (status != 501 && (final || (status == 200 && SizeOf(head.response.headers)))) return head;
  // HEAD isn't served everywhere, and a URL that is signed for GET refuses it.
  request.method = HttpMethod::kGet;
  request.headers = {"Range: bytes=0-0"};
  request.body_limit = 0;
  RedirectedResponse get = TRY(SendRedirected(*client_, request, std::move(stop)));
  // An empty file has no byte 0.
  if (get.response.status() == 416 && status == 200) return head;
  return get;
}

}  // namespace weighhouse::source
