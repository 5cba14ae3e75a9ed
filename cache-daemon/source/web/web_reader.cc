#include "cache-daemon/source/web/web_reader.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/signed_url.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source {
namespace {

/// Longer ones are no change tokens but somebody's joke.
constexpr size_t kMaxTokenBytes = 256;

bool IsToken(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTokenBytes &&
         Printable(text, kMaxTokenBytes + 1) == text;
}

void ReadVersion(const HttpHeaders& headers, WebFile& file) {
  std::string_view etag = headers.Find("etag"), modified = headers.Find("last-modified");
  bool strong = IsToken(etag) && etag.size() > 2 && etag.front() == '"' && etag.back() == '"';
  if (strong) {
    file.version = fmt::format("etag {}", etag);
    file.location.headers = {fmt::format("If-Match: {}", etag)};
  } else if (IsToken(modified)) {
    file.version = fmt::format("modified {} size {}", modified, file.size);
    file.location.headers = {fmt::format("If-Unmodified-Since: {}", modified)};
  }
}

Error WebFailure(const RedirectedResponse& answer, const WebQuestion& asked) {
  std::string body = WithoutSecrets(answer.response.body, answer.url.ToString(), asked.credentials);
  body = WithoutSecrets(std::move(body), asked.url.ToString(), {});
  Error error = AnswerFailure(answer.response.headers, body, std::chrono::system_clock::now());
  bool denied = error.code == Code::kUnauthenticated || error.code == Code::kPermissionDenied;
  error.rights_may_help = denied;
  return std::move(error).Within(Printable(asked.url.ToPublicString()));
}

Result<RedirectedRequest> RequestFor(const WebQuestion& question) {
  bool readable = question.url.scheme != "https" && !question.url.IsLoopback();
  if (readable && !question.credentials.empty()) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{}: credentials are not sent over plain http, which anybody on the "
                            "way can read: use https, or leave the secret out",
                            Printable(question.url.ToPublicString())));
  }
  return RedirectedRequest{.url = question.url, .credentials = question.credentials};
}

}  // namespace

Result<RedirectedResponse> WebReader::Ask(RedirectedRequest request, std::stop_token stop) const {
  request.method = HttpMethod::kHead;
  RedirectedResponse head = TRY(SendRedirected(*client_, request, stop));
  int status = head.response.status();
  bool final = status == 404 || status == 410 || status == 429 || status >= 500;
  if (status != 501 && (final || (status == 200 && WholeSize(head.response.headers)))) return head;
  // HEAD isn't served everywhere, and a URL that is signed for GET refuses it.
  return AskForByte(std::move(request), std::move(stop));
}

Result<RedirectedResponse> WebReader::AskForByte(RedirectedRequest request,
                                                 std::stop_token stop) const {
  request.method = HttpMethod::kGet;
  request.headers = {"Range: bytes=0-0"};
  request.body_limit = 0;
  RedirectedResponse answer = TRY(SendRedirected(*client_, request, stop));
  if (answer.response.status() != 416) return answer;
  // An empty file has no byte 0.
  request.headers.clear();
  return SendRedirected(*client_, request, std::move(stop));
}

Result<WebFile> WebReader::Look(const WebQuestion& question, std::stop_token stop) const {
  RedirectedRequest request = TRY(RequestFor(question));
  RedirectedResponse answer =
      TRY(question.refuses_head ? AskForByte(std::move(request), std::move(stop))
                                : Ask(std::move(request), std::move(stop)));
  // Servers send those who name a directory there, whatever they show of it then.
  if (answer.url.path.ends_with('/')) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{} is a directory: give it with a '/' at the end, then the SHA256SUMS "
                            "in it says which files there are",
                            Printable(question.url.ToPublicString())));
  }
  if (!HasContent(answer.response.status())) return std::unexpected(WebFailure(answer, question));
  std::optional<Bytes> size = WholeSize(answer.response.headers);
  if (!size) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("{} doesn't tell the size of {}: only files of known size can be served",
                    answer.url.HostAndPort(), Printable(question.url.ToPublicString())));
  }
  WebFile file{.size = *size, .location = {.url = answer.url.ToString()}};
  ReadVersion(answer.response.headers, file);
  if (!answer.left_origin && !question.credentials.empty()) {
    file.location.headers.insert(file.location.headers.end(), question.credentials.begin(),
                                 question.credentials.end());
    file.location.authorised = true;
  }
  if (IsSigned(answer.url)) file.location.expires_at = SignedUrlDeadline(answer.url);
  return file;
}

Result<std::string> WebReader::Read(const WebQuestion& question, Bytes limit,
                                    std::stop_token stop) const {
  RedirectedRequest request = TRY(RequestFor(question));
  request.body_limit = limit;
  RedirectedResponse answer = TRY(SendRedirected(*client_, request, std::move(stop)));
  if (answer.response.status() == 200) return std::move(answer.response.body);
  return std::unexpected(WebFailure(answer, question));
}

std::string WebOrigin(const Url& url, const SecretDigest& digest) {
  std::string chooses = IsSigned(url) ? UnsignedQuery(url) : url.query;
  if (chooses.empty()) return url.ToPublicString();
  return fmt::format("{}?{}", url.ToPublicString(), digest(chooses));
}

}  // namespace weighhouse::source
