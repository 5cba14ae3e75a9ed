#include "agent/api_server.h"

#include <algorithm>
#include <fstream>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::agent {
namespace {

using source::HttpMethod;

/// A node's object names the images on it, up to 50 by default.
constexpr Bytes kMostAnswerBytes = 4 * kMiB;
constexpr size_t kMostTokenBytes = 64 * 1024;
constexpr size_t kShownBytes = 300;

Result<std::string> ReadToken(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  char part[4096];
  while (file.read(part, sizeof part), file.gcount() > 0) {
    text.append(part, static_cast<size_t>(file.gcount()));
    if (text.size() > kMostTokenBytes) break;
  }
  std::string token(Trim(text));
  bool sendable = !token.empty() && text.size() <= kMostTokenBytes &&
                  std::ranges::all_of(token, [](char c) { return c > ' ' && c < 0x7f; });
  if (sendable) return token;
  return Fail(Code::kFailedPrecondition,
              fmt::format("'{}' holds no service account token: mount a projected volume with "
                          "serviceAccountToken there (deploy/components/agent)",
                          Printable(path)));
}

class Cluster final : public ApiServer {
 public:
  explicit Cluster(ClusterOptions options) : options_(std::move(options)) { MakeClient(); }

  Result<ApiAnswer> Send(const ApiRequest& request, std::stop_token stop) override {
    std::string token = TRY(ReadToken(options_.directory + "/token"));
    std::vector<std::string> headers = {"Authorization: Bearer " + token,
                                        "Accept: application/json"};
    if (request.method == HttpMethod::kPost) headers.push_back("Content-Type: application/json");
    if (request.method == HttpMethod::kPatch)
      headers.push_back("Content-Type: application/merge-patch+json");
    source::HttpRequest http{.method = request.method,
                             .url = options_.url + request.path,
                             .headers = std::move(headers),
                             .body_limit = kMostAnswerBytes,
                             .body = request.body};
    Result<source::HttpResponse> response = client_->Send(http, std::move(stop));
    if (!response) {
      MakeClient();  // libcurl keeps authorities in memory for a day: they may be others by now
      return std::unexpected(std::move(response).error());
    }
    auto now = std::chrono::system_clock::now();
    return ApiAnswer{.status = response->status(),
                     .body = std::move(response->body),
                     .retry_after = source::RetryDelay(response->headers, now)};
  }

 private:
  void MakeClient() {
    client_ = std::make_unique<source::HttpClient>(source::HttpClientOptions{
        .connect_timeout = options_.timeout,
        .total_timeout = options_.timeout,
        .ca_file = options_.directory + "/ca.crt",
        // The address is the cluster's word, and no user's: the policy isn't asked.
        .url_from = source::UrlFrom::kProgram});
  }

  const ClusterOptions options_;
  std::unique_ptr<source::HttpClient> client_;  // never null
};

}  // namespace

Result<std::unique_ptr<ApiServer>> ConnectToCluster(ClusterOptions options) {
  Result<source::Url> url = source::Url::Parse(options.url);
  bool good = url && url->scheme == "https" && url->path == "/" && url->query.empty();
  if (!good) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the API server '{}': give https://host[:port], or let "
                            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT say it",
                            source::ShownUrl(options.url)));
  }
  options.url = url->Origin();
  return std::make_unique<Cluster>(std::move(options));
}

std::string StatusMessage(const ApiAnswer& answer) {
  using nlohmann::json;
  json status = json::parse(answer.body, nullptr, false);
  bool says = status.is_object() && status.contains("message") && status["message"].is_string();
  std::string text = says ? status["message"].get<std::string>() : answer.body;
  return fmt::format("HTTP {}: {}", answer.status, Printable(Trim(text), kShownBytes));
}

}  // namespace weighhouse::agent
