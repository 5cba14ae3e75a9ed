#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/hub/request_budget.h"
#include "cache-daemon/source/hub_errors.h"
#include "cache-daemon/source/hub_listing.h"
#include "cache-daemon/source/redirects.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::source {

/// One caller's question: what it is about and the token it is asked with.
struct HubAsker {
  HubQuestion question;
  std::vector<std::string> credentials;
};

/// The Hugging Face Hub or a mirror of it (facts/model-sources.md 1), at one URL. The token goes to
/// endpoints that an admin listed only. All that ask it share its budget of requests. Thread-safe.
class HubEndpoint {
 public:
  /// `listed`: all endpoints, this one's URL at `index`; their paths are prefixes, without a slash
  /// at the end.
  HubEndpoint(std::vector<Url> listed, size_t index, std::shared_ptr<HttpClient> client);

  /// `https://host[:port][/prefix]`
  const std::string& name() const { return text_; }
  /// The commit and files of a revision; origin, repository and anonymous are the caller's. Also
  /// asks for a commit id, and for a file's headers where the repository may be gated: that is how
  /// a caller shows its rights (kPermissionDenied: something of another size is in its place).
  Result<Listing> List(HubAsker asker, std::stop_token stop);
  /// Whether the asker may read all of a commit, if one question tells: of a gated repository the
  /// Hub shows its commits to all and its weights to some, so that is false.
  Result<bool> MayRead(HubAsker asker, std::stop_token stop);
  /// Compares what the endpoint says of the file with the listing (kOutOfRange if they differ).
  Result<FileLocation> Locate(const std::string& commit, const ListedFile& file,
                              const HubAsker& asker, std::stop_token stop);

 private:
  const Url& url() const { return listed_[index_]; }
  bool IsListed(const Url& target) const;
  /// The URL of `path_and_query`, below the endpoint's prefix.
  Result<Url> UrlOf(const std::string& path_and_query) const;
  /// Sends it within the budget of requests of `kind`.
  Result<RedirectedResponse> Send(RedirectedRequest request, const std::string& kind,
                                  const HubAsker& asker, std::stop_token stop);
  Result<RedirectedResponse> AskApi(const Url& url, const HubAsker& asker, std::stop_token stop);
  /// What the question's revision means, to this asker.
  Result<HubRevision> AskRevision(HubAsker& asker, std::stop_token stop);
  Result<std::vector<ListedFile>> ListTree(const std::string& commit, const HubAsker& asker,
                                           std::stop_token stop);
  Result<std::optional<Url>> NextPage(const RedirectedResponse& page) const;
  /// Asks for the headers of `file`, GET in the place of HEAD where that is refused.
  Result<RedirectedResponse> AskFile(const Url& url, const ListedFile& file, const HubAsker& asker,
                                     std::stop_token stop);
  /// The last answer about a file: where its bytes are, or a redirect to there.
  Result<RedirectedResponse> Find(const std::string& commit, const ListedFile& file, HubAsker asker,
                                  std::stop_token stop);
  /// That the asker may read the file.
  Result<> ShowRight(const std::string& commit, const ListedFile& file, HubAsker asker,
                     std::stop_token stop);
  Error Failure(const RedirectedResponse& answer, const HubAsker& asker) const;

  const std::vector<Url> listed_;
  const size_t index_;
  const std::string text_;
  const std::shared_ptr<HttpClient> client_;  // shared with the other sources: connections are
  RequestBudget budget_;
};

}  // namespace weighhouse::source
