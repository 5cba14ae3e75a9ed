#include "cache-daemon/source/gcs/gcs_tokens.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"

namespace weighhouse::source {
namespace {

using Json = nlohmann::json;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr Bytes kTokenAnswerLimit = 64 * kKiB;
constexpr size_t kMaxKnown = 256;
constexpr std::streamsize kMaxAccountBytes = 64 * 1024;
/// A node without a metadata server is asked again after this long.
constexpr minutes kNoServerFor{5};

Result<GcsToken> ParseToken(const HttpResponse& response, std::string_view from) {
  bool busy = response.status() == 429 || response.status() >= 500;
  if (response.status() != 200) {
    return std::unexpected(
        Error{.code = busy ? Code::kUnavailable : Code::kUnauthenticated,
              .message = fmt::format("{} gives no access token (HTTP {}): is the account there and "
                                     "its key valid?",
                                     from, response.status()),
              .rights_may_help = !busy});
  }
  Json object = Json::parse(response.body, nullptr, false);
  Json given = object.is_object() ? object.value("access_token", Json()) : Json();
  std::string value = given.is_string() ? given.get<std::string>() : "";
  bool clean =
      !value.empty() && std::ranges::all_of(value, [](char c) { return c > 0x20 && c < 0x7F; });
  if (!clean) {
    return Fail(Code::kUnavailable, fmt::format("{} answers without an access token", from));
  }
  Json life = object.value("expires_in", Json());
  auto left =
      seconds(life.is_number_unsigned() ? std::min<uint64_t>(life.get<uint64_t>(), 43200) : 600);
  // A metadata server hands the same token out until five minutes before its end.
  auto margin = std::min<seconds>(minutes(4), left / 4);
  return GcsToken{.value = std::move(value), .good_until = steady_clock::now() + left - margin};
}

Result<std::string> ReadAccountFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxAccountBytes, '\0');
  file.read(text.data(), kMaxAccountBytes);
  text.resize(static_cast<size_t>(file.gcount()));
  if (!text.empty()) return text;
  return Fail(
      Code::kFailedPrecondition,
      fmt::format("GOOGLE_APPLICATION_CREDENTIALS names {}, which can't be read or is empty",
                  Printable(path)));
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
    GcsToken token = TRY(OfAccount(*http_, account, options, std::move(stop)));
    return std::optional(std::move(token));
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
    std::string account = TRY(ReadAccountFile(path));
    GcsToken token = TRY(OfAccount(*metadata_http_, account, options, std::move(stop)));
    return std::optional(std::move(token));
  }
  constexpr const char* kServer = "metadata server";
  if (auto known = Known(kServer)) return known;
  {
    MutexLock lock(mutex_);
    if (steady_clock::now() < absent_until_) return std::nullopt;
  }
  std::optional<GcsToken> token = TRY(OfMetadataServer(std::move(stop)));
  if (token) {
    Keep(kServer, *token);
    return token;
  }
  spdlog::info("the node has no Google credentials of its own: buckets are asked without");
  MutexLock lock(mutex_);
  absent_until_ = steady_clock::now() + kNoServerFor;
  return std::nullopt;
}

Result<GcsToken> GcsTokens::OfAccount(HttpClient& http, const std::string& json,
                                      const GcsTokenOptions& options, std::stop_token stop) {
  std::string key = Digest::Of(json).Hex();
  if (auto known = Known(key)) return *std::move(known);
  ServiceAccount account = TRY(ServiceAccount::Parse(json));
  Result<Url> url = Url::Parse(account.token_uri);
  bool usable = url && (url->scheme == "https" || url->IsLoopback() || options.allow_plain_http);
  if (!usable) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the service account's token_uri '{}' is not usable: it must be https",
                            Printable(account.token_uri.substr(0, account.token_uri.find('?')))));
  }
  std::string assertion = TRY(account.Assertion(std::chrono::system_clock::now()));
  HttpRequest request{
      .method = HttpMethod::kPost,
      .url = account.token_uri,
      .body_limit = kTokenAnswerLimit,
      .body = fmt::format("grant_type={}&assertion={}",
                          PercentEncode("urn:ietf:params:oauth:grant-type:jwt-bearer"), assertion)};
  HttpResponse response = TRY(http.Send(request, std::move(stop)));
  GcsToken token = TRY(ParseToken(response, url->HostAndPort()));
  Keep(key, token);
  return token;
}

Result<std::optional<GcsToken>> GcsTokens::OfMetadataServer(std::stop_token stop) {
  std::string host = environment_("GCE_METADATA_HOST");
  if (host.empty()) host = "metadata.google.internal";
  HttpRequest request{
      .url =
          fmt::format("http://{}/computeMetadata/v1/instance/service-accounts/default/token", host),
      .headers = {"Metadata-Flavor: Google"},
      .body_limit = kTokenAnswerLimit};
  Result<HttpResponse> response = metadata_http_->Send(request, std::move(stop));
  if (!response && response.error().code == Code::kCancelled) {
    return std::unexpected(response.error());
  }
  // No node of Google's, or one without an account.
  if (!response || response->status() == 404) return std::nullopt;
  GcsToken token = TRY(ParseToken(*response, "the metadata server"));
  return std::optional(std::move(token));
}

std::optional<GcsToken> GcsTokens::Known(const std::string& key) {
  MutexLock lock(mutex_);
  auto found = known_.find(key);
  if (found == known_.end() || steady_clock::now() >= found->second.good_until) return std::nullopt;
  return found->second;
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
