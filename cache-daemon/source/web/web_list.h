#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/web_reference.h"
#include "cache-daemon/source/source.h"
#include "cache-daemon/source/web/recent_lists.h"
#include "cache-daemon/source/web/web_reader.h"

namespace weighhouse::source {

/// The files that a list at an https URL names with their sha256: the SHA256SUMS of a directory
/// (`https://host/path/`), or a JSON manifest (`https://host/path/list.json#manifest`, see
/// ParseManifest). Sizes that the list doesn't give are asked for, a few at a time.
///
/// The query of the reference's URL, which may be a signature, and the credentials go with each
/// request to the same scheme, host and port that names no query of its own; a manifest may name
/// files elsewhere, which get neither. A manifest's relative URLs are seen from its own URL as
/// given, whatever that redirects to. Thread-safe.
class WebList final : public Source {
 public:
  WebList(PlainHttp plain_http, std::shared_ptr<HttpClient> client)
      : reader_(plain_http, std::move(client)) {}

  /// kInvalidArgument: no list or a hostile one, over kMostUnsized files without a size;
  /// kFailedPrecondition: the list isn't the one that the reference's digest names.
  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  /// kOutOfRange if the list names the file no longer, or with other content or size.
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  struct Entry {
    WebQuestion where;
    std::optional<Bytes> size;
    std::string sha256;
  };
  using Entries = std::map<std::string, Entry>;  // by path
  /// One caller's question about a list.
  struct Question {
    WebForm form = WebForm::kDirectory;
    WebQuestion list;       ///< of the directory, or of the manifest
    std::string sha256;     ///< that the list must have; "" for any
    std::string cache_key;  ///< says who asks, too
  };

  static Result<Question> QuestionOf(const ModelReference& reference,
                                     const Credentials& credentials);
  static Result<WebQuestion> Below(const Question& question, const std::string& path);
  Result<Entries> Read(const Question& question, std::stop_token stop);
  Result<Entries> ReadSums(const Question& question, std::stop_token stop);
  Result<Entries> ReadManifest(const Question& question, std::stop_token stop);
  Result<WebQuestion> WhereIs(const Question& question, const std::string& path,
                              const std::string& url) const;
  Result<std::string> ReadText(const Question& question, const WebQuestion& list, Bytes limit,
                               std::stop_token stop);
  Result<> AskSizes(Entries& entries, std::stop_token stop);

  const WebReader reader_;
  RecentLists<Entries> recent_;
};

}  // namespace weighhouse::source
