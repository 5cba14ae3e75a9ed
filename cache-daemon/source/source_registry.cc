#include "cache-daemon/source/source_registry.h"

#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/file_filter.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/http_file.h"
#include "cache-daemon/source/hugging_face.h"
#include "cache-daemon/source/local_path.h"

namespace weighhouse::source {
namespace {

constexpr std::string_view kDefaultEndpoint = "https://huggingface.co";

Result<Url> HubEndpoint(std::string text) {
  if (text.empty()) {
    const char* environment = std::getenv("HF_ENDPOINT");
    text = environment == nullptr ? "" : Trim(environment);
  }
  if (text.empty()) text = kDefaultEndpoint;
  while (text.ends_with('/')) text.pop_back();
  Result<Url> url = Url::Parse(text);
  if (!url || !url->query.empty()) {
    return Fail(Code::kInvalidArgument,
                fmt::format("hub endpoint '{}' is not usable: give https://host[:port][/path]",
                            Printable(text.substr(0, text.find('?')))));
  }
  if (url->scheme == "http" && !url->IsLoopback()) {
    spdlog::warn("the hub endpoint {} is plain http: tokens and models travel unprotected",
                 url->Origin());
  }
  return url;
}

/// `configured`, what it lacks from the environment.
Result<Proxies> UsableProxies(const Proxies& configured) {
  Proxies proxies = Proxies::OfEnvironment();
  if (!configured.http.empty()) proxies.http = configured.http;
  if (!configured.https.empty()) proxies.https = configured.https;
  if (!configured.except.empty()) proxies.except = configured.except;
  for (const std::string& proxy : {proxies.http, proxies.https}) {
    if (!proxy.empty()) TRY(CheckProxy(proxy));
  }
  return proxies;
}

}  // namespace

Result<std::unique_ptr<SourceRegistry>> SourceRegistry::Create(SourceOptions options) {
  options.ca_file = AuthoritiesFile(options.ca_file);
  TRY(CheckCurlOptions({.ca_file = options.ca_file}));
  Url endpoint = TRY(HubEndpoint(std::move(options.hub_endpoint)));
  std::unique_ptr<SourceRegistry> registry(new SourceRegistry());
  registry->endpoints_ = {endpoint.Origin()};
  registry->policy_ = options.policy ? options.policy : std::make_shared<ConnectionPolicy>();
  registry->client_ = std::make_shared<HttpClient>(
      HttpClientOptions{.ca_file = options.ca_file, .policy = registry->policy_});
  registry->http_file_ = std::make_shared<HttpFile>(registry->client_);
  registry->hugging_face_ = std::make_shared<HuggingFace>(std::move(endpoint), registry->client_);
  TRY(registry->Allow(options));
  return registry;
}

Result<> SourceRegistry::Allow(const SourceOptions& options) {
  std::vector<std::string> roots = options.local_roots;
  for (std::string& root : roots) {
    while (root.size() > 1 && root.ends_with('/')) root.pop_back();
    if (!root.starts_with('/')) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("local root '{}' is not an absolute path", Printable(root)));
    }
  }
  Proxies proxies = TRY(UsableProxies(options.proxies));
  auto local_path = roots.empty() ? nullptr : std::make_shared<LocalPath>(std::move(roots));
  policy_->Set({.allow_addresses = options.allow_addresses,
                .allow_plain_http = options.allow_plain_http,
                .endpoints = endpoints_,
                .proxies = std::move(proxies)});
  MutexLock lock(mutex_);
  rules_ = {.allow = options.allow,
            .deny = options.deny,
            .allow_by_namespace = options.allow_by_namespace,
            .deny_by_namespace = options.deny_by_namespace};
  pickle_ = options.pickle;
  local_path_ = std::move(local_path);
  return {};
}

Result<std::shared_ptr<Source>> SourceRegistry::For(const ModelReference& reference) const {
  std::string_view scheme = reference.Scheme();
  MutexLock lock(mutex_);
  TRY(CheckModel(rules_, reference.uri, {}));
  if (scheme == "hf") return hugging_face_;
  if (scheme == "https" || scheme == "http") return http_file_;
  if (scheme == "file" && local_path_) return local_path_;
  if (scheme == "file") {
    return Fail(
        Code::kPermissionDenied,
        fmt::format("{}: local models are not allowed here: an admin names their directories in "
                    "sources.local.roots",
                    Printable(reference.uri)));
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("'{}': no source serves this scheme: hf, https and file "
                          "are served",
                          Printable(reference.uri)));
}

Result<> SourceRegistry::CheckFor(const ModelReference& reference, const Asker& asker) const {
  MutexLock lock(mutex_);
  return CheckModel(rules_, reference.uri, asker);
}

Result<Listing> SourceRegistry::Select(const Listing& listing,
                                       const ModelReference& reference) const {
  Listing selected = TRY(ApplyPatterns(listing, reference));
  MutexLock lock(mutex_);
  return ApplyPicklePolicy(pickle_, listing, std::move(selected));
}

Result<Listing> SourceRegistry::Permitted(const Listing& selected) const {
  MutexLock lock(mutex_);
  return ApplyPicklePolicy(pickle_, selected, selected);
}

}  // namespace weighhouse::source
