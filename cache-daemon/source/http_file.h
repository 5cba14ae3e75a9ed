#pragma once

#include <memory>

#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/redirects.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::source {

/// One file at an https URL (http where ConnectionPolicy lets it be). Its identity
/// is the sha256 that the reference names, else its strong ETag, else its time of last change. The
/// URL's query may be a signature: it is in no origin, message or log, and a file that needed one
/// isn't `anonymous`. Thread-safe.
class HttpFile final : public Source {
 public:
  explicit HttpFile(std::shared_ptr<HttpClient> client);

  /// kInvalidArgument: no size or no identity to be had, a URL without a usable file name.
  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  /// kOutOfRange if the file is no longer the one that was listed. The location makes the server
  /// refuse (412) once it changes.
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  /// What the server says of the file, and where it really lies.
  struct Found {
    ListedFile file;
    Url url;
    std::vector<std::string> conditions;  ///< headers under which the server keeps to this version
  };
  Result<Found> Look(const ModelReference& reference, std::stop_token stop);
  Result<RedirectedResponse> Ask(const Url& url, std::stop_token stop);

  const std::shared_ptr<HttpClient> client_;  // shared with the other sources: connections are
};

}  // namespace weighhouse::source
