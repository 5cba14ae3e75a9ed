#include "cache-daemon/source/oci/authorizer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/checksum.h"
#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/json_text.h"
#include "cache-daemon/source/oci/registry_errors.h"
#include "cache-daemon/source/redirects.h"

namespace weighhouse::source::oci {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr size_t kMostKnown = 1000;
constexpr size_t kMostTokenBytes = 32 * 1024;
constexpr size_t kMostScopeBytes = 1024;
/// What the specification takes for a token's life where none is named, and the longest believed.
constexpr seconds kDefaultLife{60};
constexpr seconds kLongestLife{24 * 3600};

std::unexpected<Error> Refusal(std::string message) {
  return std::unexpected(Error{
      .code = Code::kUnauthenticated, .message = std::move(message), .rights_may_help = true});
}

std::string KeyOf(const RegistryAsker& asker) {
  return fmt::format("{} {} {}", asker.registry.Origin(), asker.image.repository,
                     asker.login.Fingerprint());
}

bool HasUser(const Login& login) { return !login.user.empty() || !login.password.empty(); }

/// A token becomes part of a request's text.
Result<> CheckSendable(std::string_view token) {
  bool clean = std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7F; });
  if (clean && token.size() <= kMostTokenBytes) return {};
  return Refusal("the token is too long, or has characters that no token has");
}

/// Base64 has no character that could end a header.
std::string BasicHeader(const Login& login) {
  return "Authorization: Basic " + EncodeBase64(login.user + ":" + login.password);
}

/// `name=value&…` of what a token is asked for with, as a query and as a form alike.
std::string TokenQuestion(const RegistryAsker& asker, const Challenge& challenge) {
  std::string scope = challenge.Find("scope");
  bool usable = !scope.empty() && scope.size() <= kMostScopeBytes;
  if (!usable) scope = fmt::format("repository:{}:pull", asker.image.repository);
  std::string question = "service=" + PercentEncode(challenge.Find("service"));
  for (const std::string& each : SplitAndTrim(scope, ' ')) {
    question += "&scope=" + PercentEncode(each);
  }
  return question;
}

/// `text` of the asker's registry or of its token server, without what they were asked with.
std::string Shown(std::string text, const RegistryAsker& asker) {
  const Login& login = asker.login;
  return WithoutSecrets(
      std::move(text), "",
      {login.user, login.password, login.identity_token, login.registry_token, BasicHeader(login)});
}

Result<Url> RealmOf(const Challenge& challenge, const RegistryAsker& asker, PlainHttp plain_http) {
  std::string text = challenge.Find("realm");
  Result<Url> realm = Url::Parse(text);
  if (!realm) {
    return Refusal(fmt::format("{} names '{}' as where it gives tokens, which is no usable URL",
                               asker.registry.Origin(), Shown(ShownUrl(text), asker)));
  }
  // The policy of connections lets the endpoints that an admin configures be plain. No login may
  // travel there on a registry's word.
  if (MayBePlain(*realm, plain_http)) return realm;
  return Refusal(
      fmt::format("{} gives tokens at {}, which is plain http: refused, logins would travel "
                  "unprotected (an admin can allow plain http)",
                  asker.registry.Origin(), Shown(realm->Origin(), asker)));
}

}  // namespace

bool MayBePlain(const Url& url, PlainHttp plain_http) {
  return url.scheme == "https" || plain_http == PlainHttp::kAllowed || url.IsLoopback();
}

Result<Authorization> ParseToken(std::string_view json, steady_clock::time_point asked) {
  std::optional<nlohmann::json> answer = ParseObject(json);
  std::string token = answer ? TextAt(*answer, "token") : "";
  if (token.empty() && answer) token = TextAt(*answer, "access_token");
  if (token.empty()) {
    return Fail(Code::kUnavailable, "its answer holds no token: is it a registry's token server?");
  }
  TRY(CheckSendable(token));
  uint64_t named = SizeAt(*answer, "expires_in").value_or(0);
  seconds life = named == 0 ? kDefaultLife : kLongestLife;
  if (named > 0 && named < static_cast<uint64_t>(kLongestLife.count())) life = seconds(named);
  // Less a margin: a request that begins with it must come before its end.
  milliseconds margin = std::min(milliseconds(seconds(60)), milliseconds(life) / 4);
  return Authorization{.headers = {"Authorization: Bearer " + token},
                       .expires_at = asked + (life - margin)};
}

Authorizer::Authorizer(PlainHttp plain_http, std::shared_ptr<HttpClient> client)
    : plain_http_(plain_http), client_(std::move(client)) {}

Authorization Authorizer::Known(const RegistryAsker& asker) {
  MutexLock lock(mutex_);
  auto found = known_.find(KeyOf(asker));
  if (found == known_.end() || found->second.expires_at <= steady_clock::now()) return {};
  return found->second;
}

void Authorizer::Keep(const RegistryAsker& asker, const Authorization& authorization) {
  MutexLock lock(mutex_);
  if (known_.size() >= kMostKnown) {
    steady_clock::time_point now = steady_clock::now();
    std::erase_if(known_, [&](const auto& each) { return each.second.expires_at <= now; });
    if (known_.size() >= kMostKnown) known_.clear();
  }
  known_[KeyOf(asker)] = authorization;
}

Result<Authorization> Authorizer::Answer(const RegistryAsker& asker, std::string_view challenges,
                                         std::stop_token stop) {
  std::vector<Challenge> list = ParseChallenges(challenges);
  auto bearer = std::ranges::find(list, "bearer", &Challenge::scheme);
  bool basic = std::ranges::find(list, "basic", &Challenge::scheme) != list.end();
  Authorization authorization;
  if (!asker.login.registry_token.empty()) {
    TRY(CheckSendable(asker.login.registry_token));
    authorization.headers = {"Authorization: Bearer " + asker.login.registry_token};
  } else if (bearer != list.end()) {
    authorization = TRY(FetchToken(asker, *bearer, std::move(stop)));
  } else if (basic && HasUser(asker.login)) {
    authorization.headers = {BasicHeader(asker.login)};
  } else if (basic) {
    return Refusal(
        fmt::format("{} wants a user's name and password: give a secret with `.dockerconfigjson`, "
                    "or with `username` and `password`",
                    asker.registry.Origin()));
  } else {
    return Refusal(fmt::format("{} wants credentials of a kind that isn't known here: '{}'",
                               asker.registry.Origin(), Shown(Printable(challenges, 100), asker)));
  }
  Keep(asker, authorization);
  return authorization;
}

Result<Authorization> Authorizer::FetchToken(const RegistryAsker& asker, const Challenge& challenge,
                                             std::stop_token stop) {
  Url realm = TRY(RealmOf(challenge, asker, plain_http_));
  // Its life begins at the server, which may take its time to answer.
  const auto asked = steady_clock::now();
  Result<HttpResponse> answer = AskRealm(realm, asker, challenge, std::move(stop));
  if (!answer) {
    Error error = std::move(answer).error();
    error.message = Shown(std::move(error.message), asker);
    return std::unexpected(std::move(error));
  }
  if (answer->status() == 200) {
    Result<Authorization> token = ParseToken(answer->body, asked);
    if (token) return token;
    return std::unexpected(std::move(token).error().Within(Shown(realm.ToPublicString(), asker)));
  }
  return std::unexpected(RegistryFailure(
      *answer,
      {.model = fmt::format("oci://{}/{}", asker.image.registry, asker.image.repository),
       .what = "token",
       .registry = Shown(realm.Origin(), asker),
       .with_login = !asker.login.empty()},
      Shown(RegistryErrorText(answer->body), asker), system_clock::now()));
}

Result<HttpResponse> Authorizer::AskRealm(const Url& realm, const RegistryAsker& asker,
                                          const Challenge& challenge, std::stop_token stop) {
  std::string question = TokenQuestion(asker, challenge);
  const Login& login = asker.login;
  if (!login.identity_token.empty()) {
    // No redirect of this one is followed: it would carry the token along.
    return client_->Send({.method = HttpMethod::kPost,
                          .url = realm.ToString(),
                          .headers = {"Content-Type: application/x-www-form-urlencoded"},
                          .body = fmt::format("{}&grant_type=refresh_token&client_id=weighhouse&"
                                              "refresh_token={}",
                                              question, PercentEncode(login.identity_token))},
                         std::move(stop));
  }
  RedirectedRequest request{.url = realm};
  request.url.query += (realm.query.empty() ? "" : "&") + question;
  if (HasUser(login)) {
    request.url.query += "&account=" + PercentEncode(login.user);
    request.credentials = {BasicHeader(login)};
  }
  RedirectedResponse answer = TRY(SendRedirected(*client_, request, std::move(stop)));
  return std::move(answer.response);
}

}  // namespace weighhouse::source::oci
