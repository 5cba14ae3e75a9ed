#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/hub_errors.h"
#include "cache-daemon/source/hub_listing.h"
#include "cache-daemon/source/redirects.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::source {

/// The Hugging Face Hub or a mirror of it (facts/model-sources.md 1). The token is the credentials'
/// HF_TOKEN or `token`; it goes to the endpoint's scheme, host and port only. Thread-safe.
///
/// Resolve also asks for a commit id upstream, and for a file's headers where the repository may be
/// gated: that is how a caller shows its rights. Locate compares what the Hub says of the file with
/// the listing (kOutOfRange if they differ).
class HuggingFace final : public Source {
 public:
  /// `endpoint`: its path is a prefix, without a slash at the end.
  HuggingFace(Url endpoint, std::shared_ptr<HttpClient> client);

  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  std::string OriginFor(const ModelReference& reference) const override;
  /// By one question for the commit, where the repository isn't gated.
  Result<bool> MayRead(const ModelReference& reference, const Credentials& credentials,
                       std::stop_token stop) override;
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  /// One caller's question: what it is about and the token it is asked with.
  struct Asker {
    HubQuestion question;
    std::vector<std::string> credentials;
  };
  Result<Asker> MakeAsker(const ModelReference& reference, const Credentials& credentials) const;
  /// The Hub's URL of `path_and_query`, below the endpoint's prefix.
  Result<Url> HubUrl(const std::string& path_and_query) const;
  /// What the reference's revision means, to this asker.
  Result<HubRevision> AskRevision(const ModelReference& reference, const Asker& asker,
                                  std::stop_token stop);
  Result<RedirectedResponse> AskApi(const Url& url, const Asker& asker, std::stop_token stop);
  Result<std::vector<ListedFile>> ListTree(const std::string& commit, const Asker& asker,
                                           std::stop_token stop);
  Result<std::optional<Url>> NextPage(const RedirectedResponse& page) const;
  /// Asks for the headers of `file`, GET in the place of HEAD where that is refused.
  Result<RedirectedResponse> AskFile(const Url& url, const ListedFile& file, const Asker& asker,
                                     std::stop_token stop);
  Result<FileLocation> LocateFile(const std::string& commit, const ListedFile& file, Asker asker,
                                  std::stop_token stop);
  Error Failure(const RedirectedResponse& answer, const Asker& asker) const;

  const Url endpoint_;
  const std::string endpoint_text_;
  const std::shared_ptr<HttpClient> client_;  // shared with the other sources: connections are
};

}  // namespace weighhouse::source
