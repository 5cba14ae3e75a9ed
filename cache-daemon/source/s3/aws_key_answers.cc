#include "cache-daemon/source/s3/aws_key_answers.h"

#include <string.h>
#include <time.h>

#include <algorithm>
#include <pugixml.hpp>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/json_text.h"
#include "cache-daemon/source/s3/s3_answers.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source {
namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

constexpr seconds kLongestKeyLife = std::chrono::hours(12);
constexpr size_t kMostSessionBytes = 4096;  ///< of IMDSv2; AWS' own has 56
constexpr size_t kMostRoleBytes = 512;      ///< AWS' own have at most 64

/// `2026-11-30T01:02:03Z`, also with parts of a second and with another zone (RFC 3339): how long
/// it is until then.
std::optional<seconds> LifeUntil(const std::string& expiration, system_clock::time_point now) {
  struct tm parts = {};
  const char* rest = strptime(expiration.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  if (*rest == '.') rest += 1 + strspn(rest + 1, "0123456789");
  long offset = 0;
  if (*rest != '\0') {
    struct tm zone = {};
    rest = strptime(rest, "%z", &zone);
    if (rest == nullptr || *rest != '\0') return std::nullopt;
    offset = zone.tm_gmtoff;
  }
  // In whole seconds: a far year is beyond what the clock's own unit can count.
  seconds left(timegm(&parts) - offset - system_clock::to_time_t(now));
  return std::clamp(left, seconds(0), kLongestKeyLife);
}

Result<AwsKeyAnswer> CheckedAnswer(AwsKeyAnswer answer, std::string_view from) {
  if (answer.keys.access_key_id.empty() || answer.keys.secret_access_key.empty()) {
    return NoAwsKeys(Code::kUnavailable, from, "its answer holds none");
  }
  if (AreSendable(answer.keys)) return answer;
  return NoAwsKeys(Code::kUnavailable, from,
                   "its answer holds some with characters that no key has, or too long ones");
}

bool IsVisibleWord(std::string_view text, size_t most) {
  return !text.empty() && text.size() <= most &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace

std::unexpected<Error> NoAwsKeys(Code code, std::string_view from, std::string_view why) {
  return Fail(code, fmt::format("the node's own AWS keys can't be had from {}: {}", from, why));
}

Result<AwsKeyAnswer> ParseStsKeys(std::string_view xml, std::string_view from,
                                  system_clock::time_point now) {
  pugi::xml_document document;
  // What is cut off leaves a document that holds the beginning of a key.
  bool whole =
      xml.size() <= kAwsKeyAnswerLimit &&
      document.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8);
  if (!whole) return NoAwsKeys(Code::kUnavailable, from, "its answer is no whole XML document");
  pugi::xml_node given = document.child("AssumeRoleWithWebIdentityResponse")
                             .child("AssumeRoleWithWebIdentityResult")
                             .child("Credentials");
  auto text = [&](const char* name) { return std::string(Trim(given.child_value(name))); };
  return CheckedAnswer({.keys = {.access_key_id = text("AccessKeyId"),
                                 .secret_access_key = text("SecretAccessKey"),
                                 .session_token = text("SessionToken")},
                        .life = LifeUntil(text("Expiration"), now)},
                       from);
}

Result<AwsKeyAnswer> ParseJsonKeys(std::string_view json, std::string_view from,
                                   system_clock::time_point now) {
  std::optional<nlohmann::json> object;
  if (json.size() <= kAwsKeyAnswerLimit) object = ParseObject(json);
  if (!object) return NoAwsKeys(Code::kUnavailable, from, "its answer is no JSON object");
  auto text = [&](const char* name) { return std::string(Trim(TextAt(*object, name))); };
  return CheckedAnswer({.keys = {.access_key_id = text("AccessKeyId"),
                                 .secret_access_key = text("SecretAccessKey"),
                                 .session_token = text("Token")},
                        .life = LifeUntil(text("Expiration"), now)},
                       from);
}

Result<std::string> ParseInstanceSession(std::string_view text, std::string_view from) {
  std::string_view session = Trim(text);
  if (IsVisibleWord(session, kMostSessionBytes)) return std::string(session);
  return NoAwsKeys(Code::kUnavailable, from, "what it opens a session by is no token");
}

Result<std::string> ParseInstanceRole(std::string_view text, std::string_view from) {
  std::string_view names = Trim(text);
  std::string_view role = Trim(names.substr(0, names.find('\n')));
  // The path is sent as it stands: these two would lead out of it.
  bool usable = IsVisibleWord(role, kMostRoleBytes) && role != "." && role != "..";
  if (usable) return std::string(role);
  return NoAwsKeys(Code::kUnavailable, from,
                   fmt::format("it names a role '{}' that can't be one", Printable(role, 40)));
}

std::unexpected<Error> AwsKeysRefused(const HttpResponse& response, const HttpRequest& request,
                                      std::string_view from) {
  S3ErrorBody said = ParseS3Error(response.body);
  std::string why = fmt::format("HTTP {} {} {}", response.status(), said.code, said.message);
  // Of a form the token is secret; the role, and what was asked of it, help.
  size_t token = std::min(request.body.find("WebIdentityToken="), request.body.size());
  std::string asked = fmt::format("{}{}{}", request.url, request.url.contains('?') ? "&" : "?",
                                  request.body.substr(token));
  why = WithoutSecrets(std::move(why), asked, request.headers);
  bool busy = IsPassing(response.status());
  return NoAwsKeys(busy ? Code::kUnavailable : Code::kFailedPrecondition, from, Trim(why));
}

}  // namespace weighhouse::source
