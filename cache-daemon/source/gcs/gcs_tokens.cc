#include "cache-daemon/source/gcs/gcs_tokens.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/source/gcs/service_account.h"

namespace weighhouse::source {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr size_t kMaxKnown = 256;
/// A node without a metadata server is asked again after this long.
constexpr minutes kNoServerFor{5};
/// A token that couldn't be renewed is tried again after this long.
constexpr seconds kTokenPause{30};
constexpr const char* kServer = "metadata server";

/// Where Google gives tokens for accounts: what files of keys name, old ones too.
constexpr std::string_view kGoogleTokens[] = {"https://oauth2.googleapis.com/token",
                                              "https://www.googleapis.com/oauth2/v4/token",
                                              "https://accounts.google.com/o/oauth2/token"};

/// The trouble of a token endpoint that the caller named.
Error OfNamedEndpoint(Error error, const std::string& account, const GcsTokenOptions& options) {
  Result<ServiceAccount> parsed = ServiceAccount::Parse(account);
  Result<Url> url = Url::Parse(parsed ? parsed->token_uri : "");
  if (error.code != Code::kUnavailable || !url) return error;
  bool known = url->Origin() == options.endpoint ||
               std::ranges::find(kGoogleTokens, url->ToString()) != std::end(kGoogleTokens);
  if (!known) error.code = Code::kFailedPrecondition;
  return error;
}

}  // namespace

GcsTokens::GcsTokens(std::shared_ptr<HttpClient> http, std::shared_ptr<HttpClient> metadata_http,
                     Environment environment)
    : http_(std::move(http)),
      metadata_http_(std::move(metadata_http)),
      environment_(std::move(environment)) {}

Result<std::optional<GcsToken>> GcsTokens::Get(const Credentials& credentials,
                                               const GcsTokenOptions& options,
                                               std::stop_token stop) {
  std::string account =
      credentials.First({"gcloud-application-credentials.json", "GOOGLE_APPLICATION_CREDENTIALS"});
  if (!account.empty()) {
    Result<GcsToken> token = OfAccount(*http_, account, options, std::move(stop));
    if (token) return std::optional(*std::move(token));
    return std::unexpected(OfNamedEndpoint(std::move(token).error(), account, options));
  }
  if (!options.node_credentials) return std::nullopt;
  std::optional<GcsToken> token = TRY(OfNode(options, std::move(stop)));
  if (token) token->of_node = true;
  return token;
}

Result<std::optional<GcsToken>> GcsTokens::OfNode(const GcsTokenOptions& options,
                                                  std::stop_token stop) {
  std::string path = environment_("GOOGLE_APPLICATION_CREDENTIALS");
  if (!path.empty()) {
    std::string account = TRY(ReadCredentialFile(path, "GOOGLE_APPLICATION_CREDENTIALS"));
    GcsToken token = TRY(OfAccount(*metadata_http_, account, options, std::move(stop)));
    return std::optional(std::move(token));
  }
  return OfMetadataServer(std::move(stop));
}

Result<GcsToken> GcsTokens::OfAccount(HttpClient& http, const std::string& json,
                                      const GcsTokenOptions& options, std::stop_token stop) {
  std::string key = Digest::Of(json).Hex();
  std::optional<GcsToken> known = Known(key);
  if (known && steady_clock::now() < known->renew_at) return *std::move(known);
  Result<GcsToken> token = Exchange(http, json, options, std::move(stop));
  // (An account that is refused now has no right any more, whatever it was given before.)
  if (!token && known && token.error().code == Code::kUnavailable) {
    return GoOnWith(key, *std::move(known), token.error());
  }
  if (token) Keep(key, *token);
  return token;
}

Result<GcsToken> GcsTokens::Exchange(HttpClient& http, const std::string& json,
                                     const GcsTokenOptions& options, std::stop_token stop) {
  ServiceAccount account = TRY(ServiceAccount::Parse(json));
  Url url = TRY(account.TokenEndpoint(options.allow_plain_http));
  std::string assertion = TRY(account.Assertion(std::chrono::system_clock::now()));
  HttpRequest request{
      .method = HttpMethod::kPost,
      .url = account.token_uri,
      .body_limit = kGcsTokenAnswerLimit,
      .body = fmt::format("grant_type={}&assertion={}",
                          PercentEncode("urn:ietf:params:oauth:grant-type:jwt-bearer"), assertion)};
  HttpResponse response = TRY(http.Send(request, std::move(stop)));
  return ParseGcsToken(response, url.HostAndPort(), steady_clock::now());
}

Result<std::optional<GcsToken>> GcsTokens::OfMetadataServer(std::stop_token stop) {
  std::optional<GcsToken> known = Known(kServer);
  if (known && steady_clock::now() < known->renew_at) return known;
  {
    MutexLock lock(mutex_);
    if (!node_had_one_ && steady_clock::now() < absent_until_) return std::nullopt;
  }
  Result<std::optional<GcsToken>> found = AskMetadataServer(std::move(stop));
  if (!found && found.error().code == Code::kCancelled) return found;
  if (found && *found) {
    Keep(kServer, **found);
    MutexLock lock(mutex_);
    node_had_one_ = true;
    return found;
  }
  const bool is_absent = found.has_value();
  Error why{Code::kUnavailable, "the metadata server gives no access token now"};
  if (!is_absent) why = std::move(found).error();
  if (known) return GoOnWith(kServer, *std::move(known), why);
  MutexLock lock(mutex_);
  // Whoever read by the node's isn't nobody because its server has trouble.
  if (node_had_one_) why = {.code = Code::kUnavailable, .message = std::move(why).message};
  if (node_had_one_ || !is_absent) return std::unexpected(std::move(why));
  LogRepeated(LogLevel::kInfo,
              "the node has no Google credentials of its own: buckets are asked without");
  absent_until_ = steady_clock::now() + kNoServerFor;
  return std::nullopt;
}

Result<std::optional<GcsToken>> GcsTokens::AskMetadataServer(std::stop_token stop) {
  std::string host = environment_("GCE_METADATA_HOST");
  if (host.empty()) host = "metadata.google.internal";
  HttpRequest request{
      .url =
          fmt::format("http://{}/computeMetadata/v1/instance/service-accounts/default/token", host),
      .headers = {"Metadata-Flavor: Google"},
      .body_limit = kGcsTokenAnswerLimit};
  Result<HttpResponse> response = metadata_http_->Send(request, std::move(stop));
  if (!response && response.error().code == Code::kCancelled) {
    return std::unexpected(response.error());
  }
  // No node of Google's, or one without an account.
  if (!response || response->status() == 404) return std::nullopt;
  GcsToken token = TRY(ParseGcsToken(*response, "the metadata server", steady_clock::now()));
  return std::optional(std::move(token));
}

std::optional<GcsToken> GcsTokens::Known(const std::string& key) {
  MutexLock lock(mutex_);
  auto found = known_.find(key);
  if (found == known_.end() || steady_clock::now() >= found->second.good_until) return std::nullopt;
  return found->second;
}

GcsToken GcsTokens::GoOnWith(const std::string& key, GcsToken token, const Error& why) {
  LogRepeated(LogLevel::kWarning,
              fmt::format("{}: going on with the access token that is there", why.message));
  token.renew_at = std::min(steady_clock::now() + kTokenPause, token.good_until);
  Keep(key, token);
  return token;
}

void GcsTokens::Keep(const std::string& key, const GcsToken& token) {
  MutexLock lock(mutex_);
  std::erase_if(known_, [now = steady_clock::now()](const auto& entry) {
    return now >= entry.second.good_until;
  });
  if (known_.size() >= kMaxKnown) known_.clear();
  known_.insert_or_assign(key, token);
}

}  // namespace weighhouse::source
