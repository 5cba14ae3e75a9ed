#include "cache-daemon/source/oci/registry_client.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/oci/registry_errors.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source::oci {
namespace {

using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr std::chrono::minutes kReachedLife{10};
constexpr size_t kMostReached = 1000;

/// Nothing secret is in it.
HttpRequest BaseQuestion(const Url& url) {
  return {.url = url.Origin() + "/v2/", .headers = {}, .body = {}};
}

}  // namespace

RegistryClient::RegistryClient(PlainHttp plain_http, std::shared_ptr<HttpClient> client)
    : plain_http_(plain_http), client_(client), authorizer_(plain_http, std::move(client)) {}

Result<RegistryAsker> RegistryClient::MakeAsker(const ImageName& image,
                                                const Credentials& credentials,
                                                std::stop_token stop) {
  RegistryAsker asker{.image = image, .login = {}, .registry = {}};
  asker.login = TRY(LoginFor(image, credentials));
  asker.registry = TRY(Reach(image.registry, std::move(stop)));
  return asker;
}

bool RegistryClient::IsRegistry(const Url& url, std::stop_token stop) {
  Result<HttpResponse> answer = client_->Send(BaseQuestion(url), std::move(stop));
  if (!answer) return false;
  int status = answer->status();
  return status == 200 || status == 401 || status == 403 || status == 429;
}

std::optional<Url> RegistryClient::LastReached(const std::string& registry) const {
  Result<Url> plain = Url::Parse("http://" + registry);
  Result<Url> secure = Url::Parse("https://" + registry);
  if (!plain || !secure) return std::nullopt;
  if (!MayBePlain(*plain, plain_http_)) return *std::move(secure);
  MutexLock lock(mutex_);
  auto known = reached_.find(registry);
  if (known == reached_.end()) return std::nullopt;
  return known->second.url;
}

Result<Url> RegistryClient::Reach(const std::string& registry, std::stop_token stop) {
  Url secure = TRY(Url::Parse("https://" + registry));
  Url plain = TRY(Url::Parse("http://" + registry));
  if (!MayBePlain(plain, plain_http_)) return secure;
  {
    MutexLock lock(mutex_);
    auto known = reached_.find(registry);
    if (known != reached_.end() && known->second.until > steady_clock::now()) {
      return known->second.url;
    }
  }
  Url found = secure;
  // At the loopback nobody is in between; elsewhere https is only done without where it isn't
  // there.
  if (plain.IsLoopback() && IsRegistry(plain, stop)) {
    found = std::move(plain);
  } else {
    Result<HttpResponse> answer = client_->Send(BaseQuestion(secure), stop);
    bool away = !answer && answer.error().code == Code::kUnavailable;
    if (away && !plain.IsLoopback() && IsRegistry(plain, stop)) {
      found = std::move(plain);
    } else if (!answer) {
      return std::unexpected(std::move(answer).error());
    }
  }
  MutexLock lock(mutex_);
  if (reached_.size() >= kMostReached) reached_.clear();
  reached_[registry] = {.url = found, .until = steady_clock::now() + kReachedLife};
  return found;
}

Result<RegistryClient::Answer> RegistryClient::Get(const RegistryAsker& asker,
                                                   const Request& request, std::stop_token stop) {
  RedirectedRequest redirected{.url = asker.registry,
                               .headers = request.headers,
                               .credentials = {},
                               .body_limit = request.body_limit,
                               .other_origin = request.other_origin,
                               .inspect = {}};
  redirected.url.path = fmt::format("/v2/{}{}", asker.image.repository, request.path);
  Answer answer = TRY(GetAuthorised(asker, redirected, std::move(stop)));
  const HttpResponse& response = answer.reply.response;
  bool stopped =
      answer.reply.left_origin && request.other_origin == RedirectedRequest::OtherOrigin::kStop;
  if (HasContent(response.status()) || stopped) return answer;
  // Where the registry gives tokens itself, it has seen more than this request's header.
  std::vector<std::string> secrets = answer.authorization.headers;
  secrets.insert(secrets.end(), {asker.login.user, asker.login.password, asker.login.identity_token,
                                 asker.login.registry_token});
  std::string said =
      WithoutSecrets(RegistryErrorText(response.body), answer.reply.url.ToString(), secrets);
  return std::unexpected(RegistryFailure(
      response,
      {.model = fmt::format("oci://{}/{}", asker.image.registry, asker.image.repository),
       .what = request.what,
       .registry = answer.reply.url.Origin(),
       .with_login = !asker.login.empty()},
      said, system_clock::now()));
}

Result<RegistryClient::Answer> RegistryClient::GetAuthorised(const RegistryAsker& asker,
                                                             const RedirectedRequest& request,
                                                             std::stop_token stop) {
  RedirectedRequest authorised = request;
  Answer answer{.reply = {}, .authorization = authorizer_.Known(asker)};
  for (bool again = false;; again = true) {
    authorised.credentials = answer.authorization.headers;
    answer.reply = TRY(SendRedirected(*client_, authorised, stop));
    bool refused = answer.reply.response.status() == 401 && !answer.reply.left_origin;
    if (!refused || again) return answer;
    std::string_view challenges = answer.reply.response.headers.Find("www-authenticate");
    if (challenges.empty()) return answer;
    answer.authorization = TRY(authorizer_.Answer(asker, challenges, stop));
  }
}

}  // namespace weighhouse::source::oci
