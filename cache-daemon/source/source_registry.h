#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/source/bucket_sources.h"
#include "cache-daemon/source/connection_policy.h"
#include "cache-daemon/source/model_rules.h"
#include "cache-daemon/source/pickle_files.h"
#include "cache-daemon/source/secret_digest.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::source {

class HttpClient;
class HuggingFace;

struct SourceOptions {
  /// Where `hf://` models come from; empty: the environment's HF_ENDPOINT, else
  /// https://huggingface.co.
  std::string hub_endpoint;
  /// Asked in order while the endpoint is away, with callers' tokens (see HuggingFace).
  std::vector<std::string> hub_mirrors;
  bool hub_offline = false;  ///< the Hub is never asked
  /// Where `modelscope://` models come from; empty: https://modelscope.cn.
  std::string modelscope_endpoint;
  std::vector<std::string>
      local_roots;  ///< absolute; `file://` models must lie below one. Empty: none are allowed.
  bool allow_plain_http = false;                   ///< as ConnectionRules
  std::vector<AddressRange> allow_addresses = {};  ///< as ConnectionRules
  /// Empty ones: the environment's (Proxies::OfEnvironment).
  Proxies proxies = {};
  /// Globs (as MatchesPattern's): a model's URI, without revision and query, must match one.
  std::vector<std::string> allow{"*"};
  std::vector<std::string> deny = {};                  ///< as ModelRules
  std::vector<NamespaceRule> allow_by_namespace = {};  ///< as ModelRules
  std::vector<NamespaceRule> deny_by_namespace = {};   ///< as ModelRules
  PicklePolicy pickle = PicklePolicy::kAllow;
  std::string ca_file;  ///< PEM; empty: SSL_CERT_FILE, else the system's
  BucketOptions buckets;
  /// Gets the rules that follow from these options; null: one of the registry's own.
  std::shared_ptr<ConnectionPolicy> policy;
  /// By which origins tell queries apart; null: one that no other registry has.
  SecretDigest secret_digest;
};

/// Knows the source of each kind of reference. Thread-safe.
class SourceRegistry {
 public:
  /// kInvalidArgument for an endpoint that is no http(s) URL or a root that isn't absolute;
  /// kFailedPrecondition for certificate authorities that can't be read.
  static Result<std::unique_ptr<SourceRegistry>> Create(SourceOptions options);

  /// From now on: all of `options` but the endpoints, ca_file, buckets, policy and secret_digest.
  /// kInvalidArgument as Create. Fills under way keep the sources that they have.
  Result<> Allow(const SourceOptions& options) EXCLUDES(mutex_);

  /// The source that serves `reference`. kPermissionDenied for kinds that an admin must allow
  /// first and for models that aren't on the list, kInvalidArgument for unknown ones. Shared: a
  /// fill keeps its source for as long as it runs.
  Result<std::shared_ptr<Source>> For(const ModelReference& reference) const EXCLUDES(mutex_);

  /// Whether `asker` may use `reference`, and the service that the credentials name for it, by what
  /// an admin lists (For knows neither): kPermissionDenied.
  Result<> CheckFor(const ModelReference& reference, const Credentials& credentials,
                    const Asker& asker) const EXCLUDES(mutex_);

  /// The part of `listing` that `reference` asks for (ApplyPatterns) and an admin lets be used
  /// (ApplyPicklePolicy).
  Result<Listing> Select(const Listing& listing, const ModelReference& reference) const
      EXCLUDES(mutex_);
  /// The part of `selected`, which patterns chose before, that an admin lets be used now.
  Result<Listing> Permitted(const Listing& selected) const EXCLUDES(mutex_);

 private:
  SourceRegistry() = default;

  std::vector<std::string> endpoints_;  ///< that the configuration names: ConnectionRules
  std::shared_ptr<ConnectionPolicy> policy_;
  SecretDigest secret_digest_;
  std::shared_ptr<HttpClient> client_;
  std::shared_ptr<HuggingFace> hugging_face_;
  std::shared_ptr<Source> modelscope_;
  std::unique_ptr<BucketSources> buckets_;
  mutable Mutex mutex_;
  ModelRules rules_ GUARDED_BY(mutex_);
  PicklePolicy pickle_ GUARDED_BY(mutex_) = PicklePolicy::kAllow;
  std::shared_ptr<Source> http_file_ GUARDED_BY(mutex_);
  std::shared_ptr<Source> web_list_ GUARDED_BY(mutex_);
  std::shared_ptr<Source> oci_registry_ GUARDED_BY(mutex_);
  std::shared_ptr<Source> local_path_ GUARDED_BY(mutex_);  ///< null: no roots are allowed
  std::shared_ptr<Source> s3_ GUARDED_BY(mutex_);
  std::shared_ptr<Source> gcs_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source
