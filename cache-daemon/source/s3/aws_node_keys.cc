#include "cache-daemon/source/s3/aws_node_keys.h"

#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <pugixml.hpp>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/s3/s3_answers.h"

namespace weighhouse::source {
namespace {

using Json = nlohmann::json;
using std::chrono::minutes;
using std::chrono::steady_clock;
using std::chrono::system_clock;

/// A node without an instance role is asked again after this long.
constexpr minutes kAbsentFor{5};
constexpr Bytes kAnswerLimit = 64 * kKiB;
constexpr std::streamsize kMaxTokenFileBytes = 64 * 1024;

std::unexpected<Error> NoKeys(Code code, std::string_view from, std::string_view why) {
  return Fail(code, fmt::format("the node's own AWS keys can't be had from {}: {}", from, why));
}

Result<std::string> ReadTokenFile(const std::string& path, std::string_view variable) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxTokenFileBytes, '\0');
  file.read(text.data(), kMaxTokenFileBytes);
  text.resize(static_cast<size_t>(file.gcount()));
  std::string token(Trim(text));
  if (!token.empty()) return token;
  return NoKeys(Code::kFailedPrecondition, variable,
                fmt::format("the file {} can't be read or is empty", Printable(path)));
}

/// `2026-11-30T01:02:03Z`, also with parts of a second. When to ask anew: five minutes before, or
/// half-way for keys that live shorter; in an hour where there is no such time.
steady_clock::time_point RenewalOf(const std::string& expiration) {
  steady_clock::time_point now = steady_clock::now();
  struct tm parts = {};
  if (strptime(expiration.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) {
    return now + minutes(60);
  }
  auto left = system_clock::from_time_t(timegm(&parts)) - system_clock::now();
  left = std::clamp<system_clock::duration>(left, minutes(0), minutes(12 * 60));
  return now + std::max<system_clock::duration>(left - minutes(5), left / 2);
}

std::string JsonText(const Json& object, const char* name) {
  auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Hosts of container providers that are spoken to by plain http, as the SDKs do.
bool IsContainerHost(const Url& url) {
  return url.scheme == "https" || url.IsLoopback() || url.host == "169.254.170.2" ||
         url.host == "169.254.170.23" || url.host == "[fd00:ec2::23]";
}

}  // namespace

std::string ProcessEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : std::string(Trim(value));
}

AwsNodeKeys::AwsNodeKeys(std::shared_ptr<HttpClient> http, Environment environment,
                         std::string region)
    : http_(std::move(http)), environment_(std::move(environment)), region_(std::move(region)) {}

Result<std::optional<AwsKeys>> AwsNodeKeys::Get(std::stop_token stop) {
  {
    MutexLock lock(mutex_);
    steady_clock::time_point now = steady_clock::now();
    if (known_ && now < known_->renew_at) return known_->keys;
    if (now < absent_until_) return std::nullopt;
  }
  std::optional<Expiring> found = TRY(Ask(stop));
  MutexLock lock(mutex_);
  known_ = found;
  if (found) return found->keys;
  absent_until_ = steady_clock::now() + kAbsentFor;
  spdlog::info("the node has no AWS keys of its own: buckets are asked without");
  return std::nullopt;
}

Result<std::optional<AwsNodeKeys::Expiring>> AwsNodeKeys::Ask(std::stop_token stop) {
  AwsKeys fixed{.access_key_id = environment_("AWS_ACCESS_KEY_ID"),
                .secret_access_key = environment_("AWS_SECRET_ACCESS_KEY"),
                .session_token = environment_("AWS_SESSION_TOKEN")};
  if (!fixed.access_key_id.empty() && !fixed.secret_access_key.empty()) {
    return std::optional(Expiring{.keys = std::move(fixed)});
  }
  bool web_identity =
      !environment_("AWS_WEB_IDENTITY_TOKEN_FILE").empty() && !environment_("AWS_ROLE_ARN").empty();
  if (web_identity) {
    Expiring keys = TRY(AskSts(stop));
    return std::optional(std::move(keys));
  }
  std::string container = environment_("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  std::string relative = environment_("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) container = "http://169.254.170.2" + relative;
  if (!container.empty()) {
    Expiring keys = TRY(AskContainer(container, stop));
    return std::optional(std::move(keys));
  }
  if (ToLower(environment_("AWS_EC2_METADATA_DISABLED")) == "true") return std::nullopt;
  return AskInstance(stop);
}

Result<std::string> AwsNodeKeys::Fetch(const HttpRequest& request, std::string_view what,
                                       std::stop_token stop) {
  Result<HttpResponse> response = http_->Send(request, std::move(stop));
  if (!response) return NoKeys(response.error().code, what, response.error().message);
  if (response->status() == 200) return std::move(response->body);
  S3ErrorBody said = ParseS3Error(response->body);
  std::string why = fmt::format("HTTP {} {} {}", response->status(), said.code, said.message);
  why = WithoutSecrets(std::move(why), request.url + "?" + request.body, request.headers);
  bool busy = response->status() == 429 || response->status() >= 500;
  return NoKeys(busy ? Code::kUnavailable : Code::kFailedPrecondition, what, Trim(why));
}

Result<AwsNodeKeys::Expiring> AwsNodeKeys::AskSts(std::stop_token stop) {
  constexpr std::string_view kWhat = "AWS STS (AWS_WEB_IDENTITY_TOKEN_FILE)";
  // Read each time: kubelet renews it.
  std::string token = TRY(ReadTokenFile(environment_("AWS_WEB_IDENTITY_TOKEN_FILE"), kWhat));
  std::string session = environment_("AWS_ROLE_SESSION_NAME");
  std::string endpoint = environment_("AWS_ENDPOINT_URL_STS");
  std::string domain = region_.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  if (endpoint.empty()) endpoint = fmt::format("https://sts.{}.{}", region_, domain);
  HttpRequest request{
      .method = HttpMethod::kPost,
      .url = endpoint + "/",
      .body_limit = kAnswerLimit,
      .body = fmt::format("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}"
                          "&RoleSessionName={}&WebIdentityToken={}",
                          PercentEncode(environment_("AWS_ROLE_ARN")),
                          PercentEncode(session.empty() ? "weighhouse" : session),
                          PercentEncode(token))};
  std::string body = TRY(Fetch(request, kWhat, std::move(stop)));
  pugi::xml_document document;
  document.load_buffer(body.data(), body.size(), pugi::parse_default, pugi::encoding_utf8);
  pugi::xml_node given = document.child("AssumeRoleWithWebIdentityResponse")
                             .child("AssumeRoleWithWebIdentityResult")
                             .child("Credentials");
  Expiring keys{.keys = {.access_key_id = given.child_value("AccessKeyId"),
                         .secret_access_key = given.child_value("SecretAccessKey"),
                         .session_token = given.child_value("SessionToken")},
                .renew_at = RenewalOf(given.child_value("Expiration"))};
  if (!keys.keys.access_key_id.empty() && !keys.keys.secret_access_key.empty()) return keys;
  return NoKeys(Code::kUnavailable, kWhat, "its answer holds none");
}

Result<AwsNodeKeys::Expiring> AwsNodeKeys::AskContainer(const std::string& url,
                                                        std::stop_token stop) {
  constexpr std::string_view kWhat = "the container provider (AWS_CONTAINER_CREDENTIALS_…)";
  Url parsed = TRY(Url::Parse(url));
  if (!IsContainerHost(parsed)) {
    return NoKeys(
        Code::kFailedPrecondition, kWhat,
        fmt::format("{} is plain http and no container provider of AWS", parsed.HostAndPort()));
  }
  HttpRequest request{.url = url, .body_limit = kAnswerLimit};
  std::string token = environment_("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  std::string file = environment_("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  if (!file.empty()) token = TRY(ReadTokenFile(file, kWhat));
  if (!token.empty()) request.headers = {"Authorization: " + token};
  std::string body = TRY(Fetch(request, kWhat, std::move(stop)));
  Json object = Json::parse(body, nullptr, false);
  if (!object.is_object()) return NoKeys(Code::kUnavailable, kWhat, "its answer is no JSON object");
  Expiring keys{.keys = {.access_key_id = JsonText(object, "AccessKeyId"),
                         .secret_access_key = JsonText(object, "SecretAccessKey"),
                         .session_token = JsonText(object, "Token")},
                .renew_at = RenewalOf(JsonText(object, "Expiration"))};
  if (!keys.keys.access_key_id.empty() && !keys.keys.secret_access_key.empty()) return keys;
  return NoKeys(Code::kUnavailable, kWhat, "its answer holds none");
}

Result<std::optional<AwsNodeKeys::Expiring>> AwsNodeKeys::AskInstance(std::stop_token stop) {
  constexpr std::string_view kWhat = "the instance's metadata service (IMDSv2)";
  std::string base = environment_("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  while (base.ends_with('/')) base.pop_back();
  if (base.empty()) base = "http://169.254.169.254";
  HttpRequest session{.method = HttpMethod::kPut,
                      .url = base + "/latest/api/token",
                      .headers = {"X-aws-ec2-metadata-token-ttl-seconds: 21600"},
                      .body_limit = kAnswerLimit};
  Result<HttpResponse> token = http_->Send(session, stop);
  if (!token && token.error().code == Code::kCancelled) return std::unexpected(token.error());
  // Not an instance of AWS, or one whose hop limit keeps pods from it.
  if (!token || token->status() != 200) return std::nullopt;
  constexpr std::string_view kRoles = "/latest/meta-data/iam/security-credentials/";
  HttpRequest request{
      .url = fmt::format("{}{}", base, kRoles),
      .headers = {fmt::format("X-aws-ec2-metadata-token: {}", Printable(Trim(token->body), 4096))},
      .body_limit = kAnswerLimit};
  HttpResponse roles = TRY(http_->Send(request, stop));
  if (roles.status() == 404) return std::nullopt;  // an instance without a role
  std::string role(Trim(roles.body).substr(0, Trim(roles.body).find('\n')));
  request.url += PercentEncode(Trim(role));
  std::string body = TRY(Fetch(request, kWhat, std::move(stop)));
  Json object = Json::parse(body, nullptr, false);
  if (!object.is_object()) return NoKeys(Code::kUnavailable, kWhat, "its answer is no JSON object");
  Expiring keys{.keys = {.access_key_id = JsonText(object, "AccessKeyId"),
                         .secret_access_key = JsonText(object, "SecretAccessKey"),
                         .session_token = JsonText(object, "Token")},
                .renew_at = RenewalOf(JsonText(object, "Expiration"))};
  if (keys.keys.access_key_id.empty() || keys.keys.secret_access_key.empty()) {
    return NoKeys(Code::kUnavailable, kWhat, "its answer holds none");
  }
  return std::optional(std::move(keys));
}

}  // namespace weighhouse::source
