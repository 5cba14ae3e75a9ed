#pragma once

#include <memory>
#include <utility>

#include "cache-daemon/source/source.h"
#include "cache-daemon/source/web/web_reader.h"

namespace weighhouse::source {

/// One file at an https URL (http where ConnectionPolicy lets it be). Its identity
/// is the sha256 that the reference names, else its strong ETag, else its time of last change. The
/// URL's query may be a signature: it is in no origin, message or log, and a file that needed one,
/// or credentials (WebAuthorization), isn't `anonymous`. Thread-safe.
class HttpFile final : public Source {
 public:
  HttpFile(std::shared_ptr<HttpClient> client, SecretDigest secret_digest)
      : reader_(std::move(client)), secret_digest_(std::move(secret_digest)) {}

  std::string OriginFor(const ModelReference& reference,
                        const Credentials& credentials) const override;
  /// kInvalidArgument: no size or no identity to be had, a URL without a usable file name.
  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  /// kOutOfRange if the file is no longer the one that was listed. The location makes the server
  /// refuse (412) once it changes.
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  struct Found {
    ListedFile file;
    FileLocation location;
  };
  Result<Found> Look(const ModelReference& reference, const WebQuestion& question,
                     std::stop_token stop);

  const WebReader reader_;
  const SecretDigest secret_digest_;
};

}  // namespace weighhouse::source
