#include "cache-daemon/source/s3/aws_node_keys.h"

#include <time.h>

#include <algorithm>
#include <pugixml.hpp>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/json_text.h"
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
/// Keys that couldn't be renewed are tried again after this long.
constexpr std::chrono::seconds kRenewalPause{30};

std::unexpected<Error> NoKeys(Code code, std::string_view from, std::string_view why) {
  return Fail(code, fmt::format("the node's own AWS keys can't be had from {}: {}", from, why));
}

/// `2026-11-30T01:02:03Z`, also with parts of a second: when keys end; never, for
/// another text.
steady_clock::time_point EndOf(const std::string& expiration) {
  struct tm parts = {};
  if (strptime(expiration.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) {
    return steady_clock::time_point::max();
  }
  // In whole seconds: a far year is beyond what the clock's own unit can count.
  std::chrono::seconds left(timegm(&parts) - system_clock::to_time_t(system_clock::now()));
  return steady_clock::now() + std::clamp<std::chrono::seconds>(left, minutes(0), minutes(12 * 60));
}

/// When keys are asked for anew: five minutes before they end, or half-way for such as live
/// shorter; in an hour where nobody says when they end.
steady_clock::time_point RenewalOf(steady_clock::time_point end) {
  steady_clock::time_point now = steady_clock::now();
  if (end == steady_clock::time_point::max()) return now + minutes(60);
  steady_clock::duration left = end - now;
  return now + std::max<steady_clock::duration>(left - minutes(5), left / 2);
}

/// An answer's body; an error of `what` for any status but 200.
Result<std::string> KeyBodyOf(HttpResponse response, const HttpRequest& request,
                              std::string_view what) {
  if (response.status() == 200) return std::move(response.body);
  S3ErrorBody said = ParseS3Error(response.body);
  std::string why = fmt::format("HTTP {} {} {}", response.status(), said.code, said.message);
  why = WithoutSecrets(std::move(why), request.url + "?" + request.body, request.headers);
  bool busy = response.status() == 429 || response.status() >= 500;
  return NoKeys(busy ? Code::kUnavailable : Code::kFailedPrecondition, what, Trim(why));
}

/// The keys in the JSON that the container provider and the instance answer.
Result<ExpiringAwsKeys> ParseJsonKeys(const std::string& body, std::string_view what) {
  Json object = IsTooDeep(body) ? Json() : Json::parse(body, nullptr, false);
  if (!object.is_object()) return NoKeys(Code::kUnavailable, what, "its answer is no JSON object");
  ExpiringAwsKeys given{.keys = {.access_key_id = TextAt(object, "AccessKeyId"),
                                 .secret_access_key = TextAt(object, "SecretAccessKey"),
                                 .session_token = TextAt(object, "Token")},
                        .end = EndOf(TextAt(object, "Expiration"))};
  if (!given.keys.access_key_id.empty() && !given.keys.secret_access_key.empty()) return given;
  return NoKeys(Code::kUnavailable, what, "its answer holds none");
}

/// A refusal that won't pass: what answers isn't the service that was meant.
bool IsNoSuchService(int status) {
  return status >= 400 && status < 500 && status != 408 && status != 429;
}

/// Hosts of container providers that are spoken to by plain http, as the SDKs do.
bool IsContainerHost(const Url& url) {
  return url.scheme == "https" || url.IsLoopback() || url.host == "169.254.170.2" ||
         url.host == "169.254.170.23" || url.host == "[fd00:ec2::23]";
}

}  // namespace

AwsNodeKeys::AwsNodeKeys(std::shared_ptr<HttpClient> http, Environment environment,
                         std::string region)
    : http_(std::move(http)), environment_(std::move(environment)), region_(std::move(region)) {}

Result<std::optional<ExpiringAwsKeys>> AwsNodeKeys::Get(std::stop_token stop) {
  {
    MutexLock lock(mutex_);
    steady_clock::time_point now = steady_clock::now();
    if (known_ && now < known_->renew_at) return known_->keys;
    if (!known_ && now < absent_until_) return std::nullopt;
  }
  Result<std::optional<Given>> found = Ask(std::move(stop));
  MutexLock lock(mutex_);
  if (!found) return WithoutNew(std::move(found).error());
  if (!*found) return WithoutNew(std::nullopt);
  known_ = *std::move(*found);
  return known_->keys;
}

Result<std::optional<ExpiringAwsKeys>> AwsNodeKeys::WithoutNew(std::optional<Error> failure) {
  steady_clock::time_point now = steady_clock::now();
  if (failure && failure->code == Code::kCancelled) return std::unexpected(*std::move(failure));
  if (!known_ && failure) return std::unexpected(*std::move(failure));
  if (!known_) {
    absent_until_ = now + kAbsentFor;
    spdlog::info("the node has no AWS keys of its own: buckets are asked without");
    return std::nullopt;
  }
  if (!failure) {
    failure =
        NoKeys(Code::kUnavailable, "where they came from before", "it gives none now").error();
  }
  if (now < known_->keys.end) {
    spdlog::warn("{}: going on with those that it has", failure->message);
    known_->renew_at = std::min(now + kRenewalPause, known_->keys.end);
    return known_->keys;
  }
  failure->code = Code::kUnavailable;
  return std::unexpected(*std::move(failure));
}

Result<std::optional<AwsNodeKeys::Given>> AwsNodeKeys::Ask(std::stop_token stop) {
  AwsKeys fixed{.access_key_id = environment_("AWS_ACCESS_KEY_ID"),
                .secret_access_key = environment_("AWS_SECRET_ACCESS_KEY"),
                .session_token = environment_("AWS_SESSION_TOKEN")};
  if (!fixed.access_key_id.empty() && !fixed.secret_access_key.empty()) {
    return std::optional(Given{.keys = {.keys = std::move(fixed)}});
  }
  bool web_identity =
      !environment_("AWS_WEB_IDENTITY_TOKEN_FILE").empty() && !environment_("AWS_ROLE_ARN").empty();
  if (web_identity) {
    Given keys = TRY(AskSts(stop));
    return std::optional(std::move(keys));
  }
  std::string container = environment_("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  std::string relative = environment_("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) container = "http://169.254.170.2" + relative;
  if (!container.empty()) {
    Given keys = TRY(AskContainer(container, stop));
    return std::optional(std::move(keys));
  }
  if (ToLower(environment_("AWS_EC2_METADATA_DISABLED")) == "true") return std::nullopt;
  return AskInstance(stop);
}

Result<std::string> AwsNodeKeys::Fetch(const HttpRequest& request, std::string_view what,
                                       std::stop_token stop) {
  Result<HttpResponse> response = http_->Send(request, std::move(stop));
  if (!response) return NoKeys(response.error().code, what, response.error().message);
  return KeyBodyOf(*std::move(response), request, what);
}

Result<AwsNodeKeys::Given> AwsNodeKeys::AskSts(std::stop_token stop) {
  constexpr std::string_view kWhat = "AWS STS (AWS_WEB_IDENTITY_TOKEN_FILE)";
  // Read each time: kubelet renews it.
  constexpr std::string_view kFile = "AWS_WEB_IDENTITY_TOKEN_FILE";
  std::string token = TRY(ReadCredentialFile(environment_(kFile.data()), kFile));
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
  ExpiringAwsKeys keys{.keys = {.access_key_id = given.child_value("AccessKeyId"),
                                .secret_access_key = given.child_value("SecretAccessKey"),
                                .session_token = given.child_value("SessionToken")},
                       .end = EndOf(given.child_value("Expiration"))};
  if (keys.keys.access_key_id.empty() || keys.keys.secret_access_key.empty()) {
    return NoKeys(Code::kUnavailable, kWhat, "its answer holds none");
  }
  return Given{.keys = keys, .renew_at = RenewalOf(keys.end)};
}

Result<AwsNodeKeys::Given> AwsNodeKeys::AskContainer(const std::string& url, std::stop_token stop) {
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
  if (!file.empty()) {
    token = TRY(ReadCredentialFile(file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
  }
  if (!token.empty()) request.headers = {"Authorization: " + token};
  std::string body = TRY(Fetch(request, kWhat, std::move(stop)));
  ExpiringAwsKeys keys = TRY(ParseJsonKeys(body, kWhat));
  return Given{.keys = keys, .renew_at = RenewalOf(keys.end)};
}

Result<std::optional<AwsNodeKeys::Given>> AwsNodeKeys::AskInstance(std::stop_token stop) {
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
  // Not an instance of AWS, or one whose hop limit keeps pods from it. (Other clouds' services at
  // this address refuse the request, each with another status.)
  if (!token || IsNoSuchService(token->status())) return std::nullopt;
  std::string session_token = TRY(KeyBodyOf(*std::move(token), session, kWhat));
  constexpr std::string_view kRoles = "/latest/meta-data/iam/security-credentials/";
  HttpRequest request{.url = fmt::format("{}{}", base, kRoles),
                      .headers = {fmt::format("X-aws-ec2-metadata-token: {}",
                                              Printable(Trim(session_token), 4096))},
                      .body_limit = kAnswerLimit};
  HttpResponse roles = TRY(http_->Send(request, stop));
  if (roles.status() == 404) return std::nullopt;  // an instance without a role
  std::string names = TRY(KeyBodyOf(std::move(roles), request, kWhat));
  std::string role(Trim(names).substr(0, Trim(names).find('\n')));
  request.url += PercentEncode(Trim(role));
  std::string body = TRY(Fetch(request, kWhat, std::move(stop)));
  ExpiringAwsKeys keys = TRY(ParseJsonKeys(body, kWhat));
  return std::optional(Given{.keys = keys, .renew_at = RenewalOf(keys.end)});
}

}  // namespace weighhouse::source
