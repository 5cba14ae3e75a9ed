#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/modelscope/scope_listing.h"
#include "cache-daemon/source/source.h"
#include "cache-daemon/source/url.h"
#include "cache-daemon/source/web/recent_lists.h"
#include "cache-daemon/source/web/web_reader.h"

namespace weighhouse::source {

/// Models of ModelScope (facts/model-sources.md 7, ModelScope). The token is the credentials'
/// MODELSCOPE_API_TOKEN or `token`; it goes to the endpoint only. Its answers name no commit of
/// the whole repository: a listing's revision is a digest over its files, and each file is fetched
/// at the commit that brought it, where the listing names that. Thread-safe.
class ModelScope final : public Source {
 public:
  /// `endpoint`: its path is a prefix, without a slash at the end.
  ModelScope(Url endpoint, std::shared_ptr<HttpClient> client);

  std::string OriginFor(const ModelReference& reference,
                        const Credentials& credentials) const override;
  /// Reads a byte of the largest file, too: listing and reading are two rights, and each is the
  /// whole repository's (so not of the largest that the patterns leave, which may be empty).
  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  /// kOutOfRange if the file is no longer the one that was listed.
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  struct Asker {
    std::string repository;
    std::string revision;
    std::vector<std::string> credentials;
    std::string key;  ///< of what was read lately
  };
  static Result<Asker> MakeAsker(const ModelReference& reference, const Credentials& credentials);
  /// The endpoint's URL of `path_and_query`, below its prefix, asked with the caller's token.
  Result<WebQuestion> Question(const Asker& asker, const std::string& path_and_query) const;
  Result<ScopeFiles> List(const Asker& asker, std::stop_token stop);
  /// `file` as it was `listed`, wherever it can be asked for.
  Result<WebFile> Find(const Asker& asker, const ListedFile& file, const ScopeFile& listed,
                       std::stop_token stop);
  Result<WebFile> Look(const Asker& asker, const std::string& path, const std::string& revision,
                       std::stop_token stop);

  const Url endpoint_;
  const std::string endpoint_text_;
  const WebReader reader_;
  RecentLists<ScopeFiles> recent_;
};

}  // namespace weighhouse::source
