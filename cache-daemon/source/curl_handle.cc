#include "cache-daemon/source/curl_handle.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "base/checksum.h"
#include "base/text.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {
namespace {

/// How much of a server's words a message holds.
constexpr size_t kShownBytes = 500;

/// libcurl's process-wide state. Never given back: handles may outlive any order of destruction of
/// statics.
bool InitialiseCurl() {
  static const bool initialised = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return initialised;
}

/// In whatever case: in a host's name there is only one.
void ReplaceAll(std::string& text, std::string_view secret, std::string_view replacement) {
  std::string lower = ToLower(text), needle = ToLower(secret), replaced;
  size_t begin = 0;
  for (size_t at = lower.find(needle); at != std::string::npos; at = lower.find(needle, begin)) {
    replaced.append(text, begin, at - begin).append(replacement);
    begin = at + needle.size();
  }
  if (begin > 0) text = replaced.append(text, begin);
}

std::string ShownDetail(const char* detail, CURLcode code) {
  std::string_view text = detail == nullptr ? "" : detail;
  // libcurl repeats a proxy that it can't read, with the user and password in it.
  if (text.empty() || text.contains('@')) text = curl_easy_strerror(code);
  return Printable(text);
}

}  // namespace

std::string AuthoritiesFile(const std::string& configured) {
  if (!configured.empty()) return configured;
  const char* file = std::getenv("SSL_CERT_FILE");
  return file == nullptr ? "" : file;
}

Result<CurlEasy> NewCurlEasy() {
  CurlEasy easy(InitialiseCurl() ? curl_easy_init() : nullptr);
  if (!easy) return Fail(Code::kResourceExhausted, "out of memory for an HTTP request");
  return easy;
}

Result<CurlMulti> NewCurlMulti() {
  CurlMulti multi(InitialiseCurl() ? curl_multi_init() : nullptr);
  if (!multi) return Fail(Code::kResourceExhausted, "out of memory for HTTP requests");
  return multi;
}

Result<> CheckCurlOptions(const CurlOptions& options) {
  if (options.ca_file.empty() || access(options.ca_file.c_str(), R_OK) == 0) return {};
  return Fail(
      Code::kFailedPrecondition,
      fmt::format("the certificate authorities in '{}' can't be read: mend the path or its rights",
                  Printable(options.ca_file)));
}

void PrepareCurl(CURL* easy, const CurlOptions& options, const std::string& url,
                 ConnectionGuard& guard) {
  curl_easy_reset(easy);
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // An aborted look-up of a host must not hold its thread up until the resolver gives up.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "weighhouse/" WEIGHHOUSE_VERSION);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(options.connect_timeout.count()));
  guard.Attach(easy);
  if (options.ca_file.empty()) return;
  // In the place of the system's, and not beside it: Debian's libcurl looks into its directory too.
  curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, nullptr);
  curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, options.ca_file.c_str());
}

std::shared_ptr<const ConnectionPolicy> PolicyOrDefault(
    std::shared_ptr<const ConnectionPolicy> policy) {
  return policy ? std::move(policy) : std::make_shared<const ConnectionPolicy>();
}

CurlList HeaderList(const std::vector<std::string>& headers) {
  bool chosen = std::ranges::any_of(
      headers, [](const std::string& header) { return header.starts_with("Accept-Encoding:"); });
  CurlList list(chosen ? nullptr : curl_slist_append(nullptr, "Accept-Encoding: identity"));
  for (const std::string& header : headers) {
    curl_slist* longer = curl_slist_append(list.get(), header.c_str());
    if (longer == nullptr) break;       // out of memory: the server will miss the header and say so
    static_cast<void>(list.release());  // the longer list begins with it
    list.reset(longer);
  }
  return list;
}

Error CurlFailure(CURLcode code, const char* detail) {
  auto error = [&](Code class_of, std::string_view what) {
    return Error{class_of, fmt::format("{}: {}", what, ShownDetail(detail, code))};
  };
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return error(Code::kUnavailable, "its name can't be resolved (check DNS and the proxy)");
    case CURLE_COULDNT_CONNECT:
      return error(Code::kUnavailable, "can't connect");
    case CURLE_OPERATION_TIMEDOUT:
      return error(Code::kUnavailable, "no answer in time");
    case CURLE_PEER_FAILED_VERIFICATION:
      return error(
          Code::kUnavailable,
          "its certificate is not trusted (check the clock and the certificate authorities)");
    case CURLE_SSL_CACERT_BADFILE:
      return error(Code::kFailedPrecondition, "the certificate authorities can't be read");
    case CURLE_URL_MALFORMAT:
      return error(Code::kInvalidArgument, "not a usable URL");
    case CURLE_OUT_OF_MEMORY:
      return error(Code::kResourceExhausted, "out of memory");
    case CURLE_ABORTED_BY_CALLBACK:
      return error(Code::kCancelled, "stopped");
    default:
      return error(Code::kUnavailable, "the connection failed");
  }
}

namespace {

constexpr size_t kLeastSecretBytes = 8;
/// Of a longer text no more is looked at: what that costs grows with the third power, and a server
/// may have filled the text with what is taken out.
constexpr size_t kMostLookedAt = 2048;
constexpr std::string_view kSecretHere = "[secret]";
constexpr std::string_view kEllipsis = "…";

struct Secret {
  std::string text;
  size_t telling =
      kLeastSecretBytes;  ///< a beginning of so many bytes holds some of what is secret
};

/// What a server decodes `header` to, if it is one of Basic (RFC 7617): user and password.
std::vector<std::string> BasicSecrets(std::string_view header) {
  constexpr std::string_view kBasic = "Authorization: Basic ";
  if (!header.starts_with(kBasic)) return {};
  std::string both = DecodeBase64(header.substr(kBasic.size())).value_or("");
  size_t colon = both.find(':');
  if (colon == std::string::npos) return {};
  return {both.substr(0, colon), both.substr(colon + 1)};
}

void AppendHeaderSecrets(const std::string& header, std::vector<Secret>& out) {
  out.push_back({header, std::min(header.find(':'), header.size()) + kLeastSecretBytes});
  for (std::string& secret : BasicSecrets(header)) out.push_back({std::move(secret)});
  for (const std::string& word : SplitAndTrim(header, ' ')) {
    if (word.ends_with(':')) continue;
    out.push_back({word});
    // Of `Credential=id/…,` and `Signature=…` a server repeats the values alone.
    size_t value = word.find('=') + 1;
    if (value > 0) out.push_back({word.substr(value, word.find_first_of("/,") - value)});
  }
}

/// Those of a request in all the forms that servers repeat, the longest first: a part that is taken
/// out would leave what stands around it unrecognised.
std::vector<Secret> SecretsOf(const std::string& url, const std::vector<std::string>& headers) {
  std::vector<Secret> secrets;
  for (const std::string& header : headers) AppendHeaderSecrets(header, secrets);
  size_t mark = url.find('?');
  std::string_view query = mark == std::string::npos ? "" : std::string_view(url).substr(mark + 1);
  for (const std::string& parameter : SplitAndTrim(query, '&')) {
    std::string value = parameter.substr(parameter.find('=') + 1);
    secrets.push_back({PercentDecode(value).value_or("")});
    secrets.push_back({std::move(value)});
  }
  // As they are in a form, too.
  for (size_t i = 0, given = secrets.size(); i < given; ++i) {
    std::string encoded = PercentEncode(secrets[i].text);
    if (encoded != secrets[i].text) secrets.push_back({std::move(encoded), secrets[i].telling});
  }
  // A shorter one is none, and replacing it would garble the text.
  std::erase_if(secrets, [](const Secret& each) { return each.text.size() < kLeastSecretBytes; });
  std::ranges::sort(secrets, std::ranges::greater{},
                    [](const Secret& each) { return each.text.size(); });
  return secrets;
}

/// Takes what is left of `secret` out of where `text` was cut off: before the byte `end`.
void DropBeginning(const Secret& secret, std::string& text, size_t end) {
  for (size_t size = std::min(secret.text.size(), end); size >= secret.telling; --size) {
    if (text.compare(end - size, size, secret.text, 0, size) != 0) continue;
    text.replace(end - size, size, kSecretHere);
    return;
  }
}

/// The same at the end of all and before each ellipsis.
void DropCutOff(const Secret& secret, std::string& text) {
  DropBeginning(secret, text, text.size());
  for (size_t at = text.rfind(kEllipsis); at != std::string::npos;) {
    DropBeginning(secret, text, at);
    if (at == 0) return;
    at = text.rfind(kEllipsis, at - 1);
  }
}

}  // namespace

std::string WithoutSecrets(std::string text, const std::string& url,
                           const std::vector<std::string>& headers) {
  text.resize(std::min(text.size(), kMostLookedAt));
  for (const Secret& secret : SecretsOf(url, headers)) {
    ReplaceAll(text, secret.text, kSecretHere);
    DropCutOff(secret, text);
  }
  return Printable(text, kShownBytes);
}

}  // namespace weighhouse::source
