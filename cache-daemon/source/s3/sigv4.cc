#include "cache-daemon/source/s3/sigv4.h"

#include <time.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/hmac.h"
#include "base/text.h"

namespace weighhouse::source {
namespace {

using Header = std::pair<std::string, std::string>;

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr size_t kMostAccessKeyBytes = 1024;          ///< AWS' own have at most 128
constexpr size_t kMostSessionTokenBytes = 16 * 1024;  ///< AWS' own are of some 1,000

bool IsVisible(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

/// `20130524T000000Z`
std::string BasicTime(std::chrono::system_clock::time_point time) {
  time_t since_epoch = std::chrono::system_clock::to_time_t(time);
  struct tm parts = {};
  gmtime_r(&since_epoch, &parts);
  std::array<char, 32> text{};
  size_t size = strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
  return {text.data(), size};
}

/// As the signature wants what stands in a query: every octet strictly encoded, once.
std::string Strict(std::string_view encoded) {
  return PercentEncode(PercentDecode(encoded).value_or(std::string(encoded)));
}

/// Parameters strictly encoded and sorted; one without a value has an empty one.
std::string CanonicalQuery(std::string_view query) {
  std::vector<Header> parameters;
  for (const std::string& parameter : SplitAndTrim(query, '&')) {
    size_t equals = parameter.find('=');
    std::string_view name = std::string_view(parameter).substr(0, equals);
    std::string_view value =
        equals == std::string::npos ? "" : std::string_view(parameter).substr(equals + 1);
    parameters.emplace_back(Strict(name), Strict(value));
  }
  std::ranges::sort(parameters);
  std::string canonical;
  for (const auto& [name, value] : parameters) {
    canonical += fmt::format("{}{}={}", canonical.empty() ? "" : "&", name, value);
  }
  return canonical;
}

/// Without space at the ends, and of several in a row one.
std::string CanonicalValue(std::string_view value) {
  std::string out;
  for (char c : Trim(value)) {
    if (c == ' ' && out.ends_with(' ')) continue;
    out += c;
  }
  return out;
}

/// What curl sends as Host.
std::string HostOf(const Url& url) {
  return url.Origin().substr(url.scheme.size() + std::string_view("://").size());
}

/// The request's headers and `host`, sorted by name.
std::vector<Header> HeadersToSign(const SignedRequest& request) {
  std::vector<Header> headers = request.headers;
  headers.emplace_back("host", HostOf(request.url));
  std::ranges::sort(headers);
  return headers;
}

Digest SigningKey(const AwsKeys& keys, const SignatureScope& scope, std::string_view day) {
  Digest key = HmacSha256("AWS4" + keys.secret_access_key, day);
  key = HmacSha256(key.Octets(), scope.region);
  key = HmacSha256(key.Octets(), scope.service);
  return HmacSha256(key.Octets(), "aws4_request");
}

}  // namespace

bool AreSendable(const AwsKeys& keys) {
  return keys.access_key_id.size() <= kMostAccessKeyBytes && IsVisible(keys.access_key_id) &&
         keys.secret_access_key.size() <= kMostAccessKeyBytes &&
         IsVisible(keys.secret_access_key) && keys.session_token.size() <= kMostSessionTokenBytes &&
         IsVisible(keys.session_token);
}

const std::string_view kEmptyPayload =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string SigV4Authorization(const SignedRequest& request, const AwsKeys& keys,
                               const SignatureScope& scope) {
  std::string lines, names;
  for (const auto& [name, value] : HeadersToSign(request)) {
    lines += fmt::format("{}:{}\n", name, CanonicalValue(value));
    names += fmt::format("{}{}", names.empty() ? "" : ";", name);
  }
  std::string canonical =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, request.url.path,
                  CanonicalQuery(request.url.query), lines, names, request.payload_sha256);
  std::string time = BasicTime(scope.time);
  std::string day = time.substr(0, 8);
  std::string range = fmt::format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  std::string to_sign =
      fmt::format("{}\n{}\n{}\n{}", kAlgorithm, time, range, Digest::Of(canonical).Hex());
  return fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                     keys.access_key_id, range, names,
                     HmacSha256(SigningKey(keys, scope, day).Octets(), to_sign).Hex());
}

std::vector<std::string> SigV4Headers(SignedRequest request, const AwsKeys& keys,
                                      const SignatureScope& scope) {
  request.headers.emplace_back("x-amz-date", BasicTime(scope.time));
  request.headers.emplace_back("x-amz-content-sha256", request.payload_sha256);
  if (!keys.session_token.empty()) {
    request.headers.emplace_back("x-amz-security-token", keys.session_token);
  }
  std::vector<std::string> lines;
  lines.reserve(request.headers.size() + 1);
  for (const auto& [name, value] : request.headers) {
    lines.push_back(fmt::format("{}: {}", name, value));
  }
  lines.push_back("Authorization: " + SigV4Authorization(request, keys, scope));
  return lines;
}

}  // namespace weighhouse::source
