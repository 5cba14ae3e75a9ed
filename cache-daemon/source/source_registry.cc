#include "cache-daemon/source/source_registry.h"

#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/file_filter.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/http_file.h"
#include "cache-daemon/source/hugging_face.h"
#include "cache-daemon/source/local_path.h"
#include "cache-daemon/source/modelscope/model_scope.h"
#include "cache-daemon/source/node_environment.h"
#include "cache-daemon/source/oci/oci_registry.h"
#include "cache-daemon/source/web/web_list.h"

namespace weighhouse::source {
namespace {

constexpr std::string_view kDefaultEndpoint = "https://huggingface.co";
constexpr std::string_view kDefaultScopeEndpoint = "https://modelscope.cn";

std::string ConfiguredEndpoint(const std::string& configured) {
  if (!configured.empty()) return configured;
  std::string named = ProcessEnvironment("HF_ENDPOINT");
  return named.empty() ? std::string(kDefaultEndpoint) : named;
}

Result<Url> ReadEndpoint(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  Result<Url> url = Url::Parse(text);
  if (!url || !url->query.empty()) {
    return Fail(Code::kInvalidArgument,
                fmt::format("endpoint '{}' is not usable: give https://host[:port][/path]",
                            ShownUrl(text)));
  }
  if (url->scheme == "http" && !url->IsLoopback()) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("the endpoint {} is plain http: tokens and models travel unprotected",
                            url->Origin()));
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

/// The endpoint, then its mirrors.
Result<std::vector<Url>> HubEndpoints(const SourceOptions& options) {
  std::vector<Url> endpoints;
  Url first = TRY(ReadEndpoint(ConfiguredEndpoint(options.hub_endpoint)));
  endpoints.push_back(std::move(first));
  for (const std::string& mirror : options.hub_mirrors) {
    Url next = TRY(ReadEndpoint(mirror));
    endpoints.push_back(std::move(next));
  }
  return endpoints;
}

}  // namespace

Result<std::unique_ptr<SourceRegistry>> SourceRegistry::Create(SourceOptions options) {
  options.ca_file = AuthoritiesFile(options.ca_file);
  TRY(CheckCurlOptions({.ca_file = options.ca_file}));
  std::vector<Url> endpoints = TRY(HubEndpoints(options));
  std::unique_ptr<SourceRegistry> registry(new SourceRegistry());
  for (const Url& each : endpoints) registry->endpoints_.push_back(each.Origin());
  registry->policy_ = options.policy ? options.policy : std::make_shared<ConnectionPolicy>();
  registry->secret_digest_ = std::move(options.secret_digest);
  if (!registry->secret_digest_) registry->secret_digest_ = TRY(NewSecretDigest());
  registry->client_ = std::make_shared<HttpClient>(
      HttpClientOptions{.ca_file = options.ca_file, .policy = registry->policy_});
  registry->hugging_face_ = std::make_shared<HuggingFace>(endpoints, registry->client_);
  Url scope =
      TRY(ReadEndpoint(options.modelscope_endpoint.empty() ? std::string(kDefaultScopeEndpoint)
                                                           : options.modelscope_endpoint));
  registry->endpoints_.push_back(scope.Origin());
  registry->modelscope_ = std::make_shared<ModelScope>(std::move(scope), registry->client_);
  registry->buckets_ =
      TRY(BucketSources::Create(options.buckets, registry->client_, options.ca_file,
                                ProcessEnvironment, registry->secret_digest_));
  for (const Url& each : registry->buckets_->Endpoints()) {
    registry->endpoints_.push_back(each.Origin());
  }
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
  auto http_file = std::make_shared<HttpFile>(client_, secret_digest_);
  auto web_list = std::make_shared<WebList>(client_, secret_digest_);
  auto oci_registry = std::make_shared<oci::OciRegistry>(
      options.allow_plain_http ? oci::PlainHttp::kAllowed : oci::PlainHttp::kLoopbackOnly, client_);
  auto local_path = roots.empty() ? nullptr : std::make_shared<LocalPath>(std::move(roots));
  std::shared_ptr<Source> s3 = buckets_->S3(options.allow_plain_http);
  std::shared_ptr<Source> gcs = buckets_->Gcs(options.allow_plain_http);
  if (hugging_face_->SetOffline(options.hub_offline)) {
    spdlog::info("the Hub is {}", options.hub_offline ? "not asked from now on" : "asked again");
  }
  policy_->Set({.allow_addresses = options.allow_addresses,
                .allow_plain_http = options.allow_plain_http,
                .endpoints = endpoints_,
                .bucket_endpoint = buckets_->BucketHosts(),
                .proxies = std::move(proxies)});
  MutexLock lock(mutex_);
  rules_ = {.allow = options.allow,
            .deny = options.deny,
            .allow_by_namespace = options.allow_by_namespace,
            .deny_by_namespace = options.deny_by_namespace};
  pickle_ = options.pickle;
  s3_ = std::move(s3);
  gcs_ = std::move(gcs);
  http_file_ = std::move(http_file);
  oci_registry_ = std::move(oci_registry);
  web_list_ = std::move(web_list);
  local_path_ = std::move(local_path);
  return {};
}

Result<std::shared_ptr<Source>> SourceRegistry::For(const ModelReference& reference) const {
  std::string_view scheme = reference.Scheme();
  MutexLock lock(mutex_);
  TRY(CheckModel(rules_, reference.uri, {}));
  if (scheme == "hf") return hugging_face_;
  if (scheme == "oci") return oci_registry_;
  if (scheme == "s3") return s3_;
  if (scheme == "gs") return gcs_;
  if (scheme == "modelscope") return modelscope_;
  if (scheme == "https" || scheme == "http") {
    return WebFormOf(reference.uri) == WebForm::kFile ? http_file_ : web_list_;
  }
  if (scheme == "file" && local_path_) return local_path_;
  if (scheme == "file") {
    return Fail(
        Code::kPermissionDenied,
        fmt::format("{}: local models are not allowed here: an admin names their directories in "
                    "sources.local.roots",
                    Printable(reference.uri)));
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("'{}': no source serves this scheme: hf, modelscope, oci, s3, gs, https "
                          "and file are served",
                          Printable(reference.uri)));
}

Result<> SourceRegistry::CheckFor(const ModelReference& reference, const Credentials& credentials,
                                  const Asker& asker) const {
  std::shared_ptr<Source> source = TRY(For(reference));
  std::string elsewhere = source->ElsewhereFor(reference, credentials);
  MutexLock lock(mutex_);
  TRY(CheckModel(rules_, reference.uri, asker));
  if (elsewhere.empty()) return {};
  return CheckModel(rules_, elsewhere, asker);
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
