#include "cache-daemon/source/source_registry.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/file_filter.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/http_file.h"
#include "cache-daemon/source/hugging_face.h"
#include "cache-daemon/source/local_path.h"
#include "cache-daemon/source/modelscope/model_scope.h"
#include "cache-daemon/source/oci/oci_registry.h"
#include "cache-daemon/source/web/web_list.h"

namespace weighhouse::source {
namespace {

constexpr std::string_view kDefaultEndpoint = "https://huggingface.co";
constexpr std::string_view kDefaultScopeEndpoint = "https://modelscope.cn";

std::string ConfiguredEndpoint(const std::string& configured) {
  if (!configured.empty()) return configured;
  const char* environment = std::getenv("HF_ENDPOINT");
  std::string_view named = environment == nullptr ? "" : Trim(environment);
  return std::string(named.empty() ? kDefaultEndpoint : named);
}

Result<Url> ReadEndpoint(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  Result<Url> url = Url::Parse(text);
  if (!url || !url->query.empty()) {
    return Fail(Code::kInvalidArgument,
                fmt::format("endpoint '{}' is not usable: give https://host[:port][/path]",
                            Printable(text.substr(0, text.find('?')))));
  }
  if (url->scheme == "http" && !url->IsLoopback()) {
    spdlog::warn("the endpoint {} is plain http: tokens and models travel unprotected",
                 url->Origin());
  }
  return url;
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

/// Servers and curl take `/a/../b` for `/b`, so what a pattern allows by its path would be
/// anything.
bool HasDotSegments(const std::string& uri) {
  std::string path = ToLower(uri) + "/";
  return path.contains("/../") || path.contains("/./") || path.contains("%2e");
}

Result<> CheckAllowed(const std::vector<std::string>& allow, const std::string& uri) {
  std::string name = uri.substr(0, uri.find_first_of("?#"));
  bool allowed = std::ranges::any_of(allow, [&](const std::string& pattern) {
    return pattern == "*" || (MatchesPattern(pattern, name) && !HasDotSegments(name));
  });
  if (allowed) return {};
  return Fail(Code::kPermissionDenied,
              fmt::format("{}: not one of the models that may be used here: an admin lists them in "
                          "sources.allow, which has [{}]",
                          Printable(name), Printable(fmt::format("{}", fmt::join(allow, ", ")))));
}

}  // namespace

Result<std::unique_ptr<SourceRegistry>> SourceRegistry::Create(SourceOptions options) {
  options.ca_file = AuthoritiesFile(options.ca_file);
  TRY(CheckCurlOptions({.ca_file = options.ca_file}));
  std::vector<Url> endpoints = TRY(HubEndpoints(options));
  std::unique_ptr<SourceRegistry> registry(new SourceRegistry());
  registry->client_ = std::make_shared<HttpClient>(HttpClientOptions{.ca_file = options.ca_file});
  registry->hugging_face_ = std::make_shared<HuggingFace>(endpoints, registry->client_);
  Url scope =
      TRY(ReadEndpoint(options.modelscope_endpoint.empty() ? std::string(kDefaultScopeEndpoint)
                                                           : options.modelscope_endpoint));
  registry->modelscope_ = std::make_shared<ModelScope>(std::move(scope), registry->client_);
  registry->buckets_ = TRY(BucketSources::Create(options.buckets, registry->client_,
                                                 options.ca_file, ProcessEnvironment));
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
  PlainHttp plain_http = options.allow_plain_http ? PlainHttp::kAllowed : PlainHttp::kLoopbackOnly;
  auto http_file = std::make_shared<HttpFile>(plain_http, client_);
  auto web_list = std::make_shared<WebList>(plain_http, client_);
  auto oci_registry = std::make_shared<oci::OciRegistry>(
      options.allow_plain_http ? oci::PlainHttp::kAllowed : oci::PlainHttp::kLoopbackOnly, client_);
  auto local_path = roots.empty() ? nullptr : std::make_shared<LocalPath>(std::move(roots));
  std::shared_ptr<Source> s3 = buckets_->S3(options.allow_plain_http);
  std::shared_ptr<Source> gcs = buckets_->Gcs(options.allow_plain_http);
  if (hugging_face_->SetOffline(options.hub_offline)) {
    spdlog::info("the Hub is {}", options.hub_offline ? "not asked from now on" : "asked again");
  }
  MutexLock lock(mutex_);
  s3_ = std::move(s3);
  gcs_ = std::move(gcs);
  allow_ = options.allow;
  http_file_ = std::move(http_file);
  oci_registry_ = std::move(oci_registry);
  web_list_ = std::move(web_list);
  local_path_ = std::move(local_path);
  return {};
}

Result<std::shared_ptr<Source>> SourceRegistry::For(const ModelReference& reference) const {
  std::string_view scheme = reference.Scheme();
  MutexLock lock(mutex_);
  TRY(CheckAllowed(allow_, reference.uri));
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

}  // namespace weighhouse::source
