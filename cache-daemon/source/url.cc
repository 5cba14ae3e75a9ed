#include "cache-daemon/source/url.h"

#include <algorithm>
#include <memory>

#include <curl/curl.h>
#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/proxies.h"

namespace weighhouse::source {
namespace {

constexpr size_t kMostHostBytes = 255;  ///< RFC 1035 section 2.3.4; it is in many messages

using CurlUrl = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

/// What may stand in a URL as it is, beside the unreserved characters: reserved ones and escapes.
constexpr std::string_view kUrlCharacters = "!#$%&'()*+,/:;=?@[]";

std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

/// Sets `text` on `url`, relative to what it already holds.
Result<> SetText(CURLU* url, std::string_view text) {
  std::string encoded = PercentEncode(text, kUrlCharacters);
  // Verbatim paths: a signature covers them, and squashing dots would change what was signed.
  CURLUcode code =
      curl_url_set(url, CURLUPART_URL, encoded.c_str(), CURLU_PATH_AS_IS | CURLU_DISALLOW_USER);
  if (code == CURLUE_OK) return {};
  return Fail(Code::kInvalidArgument,
              fmt::format("'{}' is not a usable URL: {}", ShownUrl(text), curl_url_strerror(code)));
}

Result<Url> TakeApart(CURLU* parsed) {
  Url url;
  url.scheme = Part(parsed, CURLUPART_SCHEME);
  url.host = ToLower(Part(parsed, CURLUPART_HOST));
  url.port = Part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  url.path = Part(parsed, CURLUPART_PATH);
  url.query = Part(parsed, CURLUPART_QUERY);
  if (url.path.empty()) url.path = "/";
  if (url.scheme != "http" && url.scheme != "https") {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("scheme '{}' is not served: only https and http are", Printable(url.scheme)));
  }
  if (url.host.empty() || !Part(parsed, CURLUPART_USER).empty()) {
    return Fail(Code::kInvalidArgument, "a URL needs a host and must not name a user");
  }
  if (url.host.size() > kMostHostBytes) {
    return Fail(Code::kInvalidArgument, "a URL's host has at most 255 characters");
  }
  // libcurl decodes a host's escapes. It would also look up other names than such a host shows.
  auto is_plain = [](unsigned char c) { return c > 0x20 && c < 0x7F; };
  if (!std::ranges::all_of(url.host, is_plain)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the host '{}' is not written in ASCII: give its form with xn--",
                            Printable(url.host, 80)));
  }
  if (url.host.contains('%')) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the host '{}' has an escape within an escape, or a '%' of its own: "
                            "no host's name has one",
                            Printable(url.host, 80)));
  }
  return url;
}

Result<CurlUrl> Parsed(std::string_view text) {
  CurlUrl url(curl_url(), &curl_url_cleanup);
  if (!url) return Fail(Code::kResourceExhausted, "out of memory for a URL");
  // curl would guess a scheme from the host's name.
  if (!text.contains("://")) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' is not a URL: it has no scheme", ShownUrl(text)));
  }
  TRY(SetText(url.get(), text));
  return url;
}

/// As libcurl will read it when it is asked: a host whose escapes it has decoded may be a number
/// now, which is an address.
Result<Url> Settled(const Result<Url>& url) {
  if (!url) return url;
  CurlUrl parsed = TRY(Parsed(url->ToString()));
  return TakeApart(parsed.get());
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string ShownUrl(std::string_view text) {
  // The user first: a password may have what looks like the beginning of a query.
  std::string shown = WithoutUser(text);
  return Printable(std::string_view(shown).substr(0, shown.find_first_of("?#")));
}

Result<Url> Url::Parse(std::string_view text) {
  CurlUrl parsed = TRY(Parsed(text));
  return Settled(TakeApart(parsed.get()));
}

Result<Url> Url::Join(std::string_view location) const {
  CurlUrl base = TRY(Parsed(ToString()));
  TRY(SetText(base.get(), location));
  return Settled(TakeApart(base.get()));
}

std::string Url::Origin() const {
  bool default_port = port == (scheme == "https" ? "443" : "80");
  return default_port ? fmt::format("{}://{}", scheme, host)
                      : fmt::format("{}://{}:{}", scheme, host, port);
}

std::string Url::ToString() const {
  return query.empty() ? ToPublicString() : fmt::format("{}?{}", ToPublicString(), query);
}

bool Url::SameOrigin(const Url& other) const {
  return scheme == other.scheme && host == other.host && port == other.port;
}

bool Url::IsLoopback() const {
  return host == "localhost" || host.ends_with(".localhost") || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

std::optional<std::string> Url::QueryValue(std::string_view name) const {
  for (const std::string& parameter : SplitAndTrim(query, '&')) {
    size_t equals = parameter.find('=');
    if (std::string_view(parameter).substr(0, equals) != name) continue;
    return equals == std::string::npos ? "" : PercentDecode(parameter.substr(equals + 1));
  }
  return std::nullopt;
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    int high = HexValue(text[i + 1]), low = HexValue(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Result<Url> RedirectTarget(const Url& from, std::string_view location) {
  Result<Url> target = from.Join(location);
  if (!target) {
    return Fail(Code::kUnavailable, fmt::format("{} answers a redirect that can't be followed: {}",
                                                from.HostAndPort(), target.error().message));
  }
  if (from.scheme == "https" && target->scheme == "http") {
    return Fail(
        Code::kFailedPrecondition,
        fmt::format("{} redirects to plain http at {}: refused; the server must send to https",
                    from.HostAndPort(), target->HostAndPort()));
  }
  return target;
}

}  // namespace weighhouse::source
