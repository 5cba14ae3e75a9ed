#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/web_reference.h"
#include "cache-daemon/source/source.h"
#include "cache-daemon/source/web/recent_lists.h"
#include "cache-daemon/source/web/web_reader.h"

namespace weighhouse::source {

/// The files that a list at an https URL names with their sha256: the SHA256SUMS of a directory
/// (`https://host/path/`), or a JSON manifest (`https://host/path/list.json#manifest`, see
/// ParseManifest). Sizes that the list doesn't give are asked for, a few at a time; of what the
/// reference doesn't select and the caller may not read they stay 0.
///
/// The query of the reference's URL, which may be a signature, and the credentials go with each
/// request to the same scheme, host and port that names no query of its own; a manifest may name
/// files elsewhere, which get neither. A manifest's relative URLs are seen from its own URL as
/// given, whatever that redirects to.
///
/// Who may read a list need not be let into what it names: each file is asked for, too, with the
/// caller's rights. Thread-safe.
class WebList final : public Source {
 public:
  WebList(std::shared_ptr<HttpClient> client, SecretDigest secret_digest)
      : reader_(std::move(client)), secret_digest_(std::move(secret_digest)) {}

  /// Files without a size, at most: each costs a request.
  static constexpr size_t kMostUnsized = 10'000;
  /// Of those, and of those whose rights are shown, at servers that aren't the list's own: they
  /// didn't ask to be asked.
  static constexpr size_t kMostAskedElsewhere = 100;

  std::string OriginFor(const ModelReference& reference,
                        const Credentials& credentials) const override;
  /// kInvalidArgument: no list or a hostile one, or too many files without a size;
  /// kFailedPrecondition: the list isn't the one that the reference's digest names.
  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  /// kPermissionDenied, too, if something of another size comes in a file's place.
  Result<bool> ShowRights(const ModelReference& reference, const Credentials& credentials,
                          const Listing& selected, std::stop_token stop) override;
  /// kOutOfRange if the list names the file no longer, or with other content or size.
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  struct Entry {
    std::string url;  ///< as a manifest writes it; empty: at its path beside the list
    std::optional<Bytes> size;
    Digest sha256;
    bool asked = false;  ///< its server gave the size to whoever Resolve was called by
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
  static WebQuestion Below(const Question& question, const std::string& path);
  /// What Resolve read, if that was lately; else what there is to read now.
  Result<std::shared_ptr<const Entries>> LatelyRead(const Question& question, std::stop_token stop);
  /// kOutOfRange if the list has `file` no longer, or with other content.
  static Result<const Entries::value_type*> Find(const Question& question, const Entries& entries,
                                                 const ListedFile& file);
  /// Those of `files` that are asked for to show rights: all at the list's server. At others, which
  /// get nobody's credentials, the largest.
  static Result<std::vector<ListedFile>> ToShow(const Question& question, const Entries& entries,
                                                std::vector<ListedFile> files);
  Result<Entries> Read(const Question& question, std::stop_token stop);
  Result<Entries> ReadSums(const Question& question, std::stop_token stop);
  Result<Entries> ReadManifest(const Question& question, std::stop_token stop);
  static Result<WebQuestion> WhereIs(const Question& question, const std::string& path,
                                     const std::string& url);
  Result<std::string> ReadText(const Question& question, const WebQuestion& list, Bytes limit,
                               std::stop_token stop);
  /// What its server says of one entry now.
  Result<WebFile> Look(const Question& question, const Entries::value_type& entry,
                       std::stop_token stop) const;
  Result<> AskSizes(const Question& question, const std::vector<ListedFile>& wanted,
                    Entries& entries, std::stop_token stop) const;
  static Bytes BytesOf(const Entries& entries);
  /// Sorted; a size that isn't known yet is 0.
  static std::vector<ListedFile> FilesOf(const Entries& entries);

  const WebReader reader_;
  const SecretDigest secret_digest_;
  RecentLists<Entries> recent_;
};

}  // namespace weighhouse::source
