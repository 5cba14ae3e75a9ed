#include "cache-daemon/source/s3/aws_node_keys.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/source/s3/aws_key_answers.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source {
namespace {

using std::chrono::minutes;
using std::chrono::steady_clock;
using std::chrono::system_clock;

/// A node without an instance role is asked again after this long.
constexpr minutes kAbsentFor{5};
/// Keys are asked for anew after this long where nobody says when they end.
constexpr minutes kUnsaidRenewal{60};
/// Keys that couldn't be renewed are tried again after this long.
constexpr std::chrono::seconds kRenewalPause{30};

/// An answer's body; an error of `from` for any status but 200.
Result<std::string> KeyBodyOf(HttpResponse response, const HttpRequest& request,
                              std::string_view from) {
  if (response.status() == 200) return std::move(response.body);
  return AwsKeysRefused(response, request, from);
}

/// A refusal that won't pass: what answers isn't the service that was meant.
bool IsNoSuchService(int status) { return status >= 400 && !IsPassing(status); }

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
    LogRepeated(LogLevel::kInfo, "the node has no AWS keys of its own: buckets are asked without");
    return std::nullopt;
  }
  if (!failure) {
    failure =
        NoAwsKeys(Code::kUnavailable, "where they came from before", "it gives none now").error();
  }
  if (now < known_->keys.end) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("{}: going on with those that it has", failure->message));
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
    if (AreSendable(fixed)) return std::optional(Given{.keys = {.keys = std::move(fixed)}});
    return NoAwsKeys(Code::kFailedPrecondition, "the environment (AWS_ACCESS_KEY_ID)",
                     "they have characters that no key has, or are too long for one");
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

AwsNodeKeys::Given AwsNodeKeys::GivenBy(AwsKeyAnswer answer) {
  Time now = steady_clock::now();
  Given given{.keys = {.keys = std::move(answer.keys)}, .renew_at = now + kUnsaidRenewal};
  if (!answer.life) return given;
  steady_clock::duration life = *answer.life;
  given.keys.end = now + life;
  given.renew_at = now + std::max<steady_clock::duration>(life - minutes(5), life / 2);
  return given;
}

Result<std::string> AwsNodeKeys::Fetch(const HttpRequest& request, std::string_view what,
                                       std::stop_token stop) {
  Result<HttpResponse> response = http_->Send(request, std::move(stop));
  if (!response) return NoAwsKeys(response.error().code, what, response.error().message);
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
      .body_limit = kAwsKeyAnswerLimit,
      .body = fmt::format("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}"
                          "&RoleSessionName={}&WebIdentityToken={}",
                          PercentEncode(environment_("AWS_ROLE_ARN")),
                          PercentEncode(session.empty() ? "weighhouse" : session),
                          PercentEncode(token))};
  std::string body = TRY(Fetch(request, kWhat, std::move(stop)));
  AwsKeyAnswer answer = TRY(ParseStsKeys(body, kWhat, system_clock::now()));
  return GivenBy(std::move(answer));
}

Result<AwsNodeKeys::Given> AwsNodeKeys::AskContainer(const std::string& url, std::stop_token stop) {
  constexpr std::string_view kWhat = "the container provider (AWS_CONTAINER_CREDENTIALS_…)";
  Url parsed = TRY(Url::Parse(url));
  if (!IsContainerHost(parsed)) {
    return NoAwsKeys(
        Code::kFailedPrecondition, kWhat,
        fmt::format("{} is plain http and no container provider of AWS", parsed.HostAndPort()));
  }
  HttpRequest request{.url = url, .body_limit = kAwsKeyAnswerLimit};
  std::string token = environment_("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  std::string file = environment_("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  if (!file.empty()) {
    token = TRY(ReadCredentialFile(file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
  }
  // A file of several lines would be headers of its choice.
  if (Printable(token, token.size()) != token) {
    return NoAwsKeys(Code::kFailedPrecondition, kWhat,
                     "its AWS_CONTAINER_AUTHORIZATION_TOKEN has line breaks or the like in it");
  }
  if (!token.empty()) request.headers = {"Authorization: " + token};
  std::string body = TRY(Fetch(request, kWhat, std::move(stop)));
  AwsKeyAnswer answer = TRY(ParseJsonKeys(body, kWhat, system_clock::now()));
  return GivenBy(std::move(answer));
}

Result<std::optional<AwsNodeKeys::Given>> AwsNodeKeys::AskInstance(std::stop_token stop) {
  constexpr std::string_view kWhat = "the instance's metadata service (IMDSv2)";
  std::string base = environment_("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  while (base.ends_with('/')) base.pop_back();
  if (base.empty()) base = "http://169.254.169.254";
  HttpRequest session{.method = HttpMethod::kPut,
                      .url = base + "/latest/api/token",
                      .headers = {"X-aws-ec2-metadata-token-ttl-seconds: 21600"},
                      .body_limit = kAwsKeyAnswerLimit};
  Result<HttpResponse> token = http_->Send(session, stop);
  if (!token && token.error().code == Code::kCancelled) return std::unexpected(token.error());
  // Not an instance of AWS, or one whose hop limit keeps pods from it. (Other clouds' services at
  // this address refuse the request, each with another status.)
  if (!token || IsNoSuchService(token->status())) return std::nullopt;
  std::string opened = TRY(KeyBodyOf(*std::move(token), session, kWhat));
  std::string session_token = TRY(ParseInstanceSession(opened, kWhat));
  constexpr std::string_view kRoles = "/latest/meta-data/iam/security-credentials/";
  HttpRequest request{.url = fmt::format("{}{}", base, kRoles),
                      .headers = {"X-aws-ec2-metadata-token: " + session_token},
                      .body_limit = kAwsKeyAnswerLimit};
  HttpResponse roles = TRY(http_->Send(request, stop));
  if (roles.status() == 404) return std::nullopt;  // an instance without a role
  std::string names = TRY(KeyBodyOf(std::move(roles), request, kWhat));
  std::string role = TRY(ParseInstanceRole(names, kWhat));
  request.url += PercentEncode(role);
  std::string body = TRY(Fetch(request, kWhat, std::move(stop)));
  AwsKeyAnswer answer = TRY(ParseJsonKeys(body, kWhat, system_clock::now()));
  return std::optional(GivenBy(std::move(answer)));
}

}  // namespace weighhouse::source
