#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cache-daemon/source/s3/s3_access.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::source {

/// `s3://bucket/prefix`: everything below a prefix, or the one object of that name, of AWS or any
/// service that speaks its protocol (facts/model-sources.md 3). A file's identity is its sha256
/// where a SHA256SUMS beside the objects gives one, else its ETag; what the service knows of the
/// whole object's checksum goes along with its location. Whoever may list need not be one who may
/// read: a byte of each object shows that. The origin names the endpoint, because a secret may
/// choose it, and ends with a slash for a prefix. Thread-safe.
class S3Source final : public Source {
 public:
  /// `node_keys` may be null: the node's own keys are not for tenants then.
  S3Source(S3Settings settings, std::shared_ptr<S3Client> client, std::shared_ptr<HttpClient> http,
           std::shared_ptr<AwsNodeKeys> node_keys);

  std::string OriginFor(const ModelReference& reference,
                        const Credentials& credentials) const override;
  /// `s3+https://endpoint/bucket/path`
  std::string ElsewhereFor(const ModelReference& reference,
                           const Credentials& credentials) const override;
  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  Result<bool> ShowRights(const ModelReference& reference, const Credentials& credentials,
                          const Listing& selected, std::stop_token stop) override;
  /// kOutOfRange if the object is no longer the one that was listed. The location makes the server
  /// refuse (412) once it changes, and must be renewed after ten minutes.
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  Result<std::vector<ListedFile>> List(const S3Access& access, const std::string& prefix,
                                       std::stop_token stop);
  /// The one object of that name, whose digest may lie beside it.
  Result<ListedFile> ListOne(const S3Access& access, const BucketPath& place, std::stop_token stop);
  /// One object as it is now.
  struct Found {
    S3Object object;
    std::optional<ContentChecksum> checksum;
  };
  Result<Found> Look(const S3Access& access, const std::string& key, std::stop_token stop);
  /// By the list, where the service sends a HEAD elsewhere.
  Result<Found> LookInList(const S3Access& access, const std::string& key, std::stop_token stop);
  /// The whole content of a file that lies beside the model's.
  Result<std::string> ReadSmall(const S3Access& access, const std::string& key,
                                std::stop_token stop);
  Result<S3Page> ListPage(const S3Access& access, const std::string& query,
                          const std::string& about, std::stop_token stop);
  /// What a GET of the object's first byte is answered, of the version of `etag`, if one is given.
  Result<S3Client::Answer> AskForByte(const S3Access& access, const std::string& key,
                                      std::stop_token stop, const std::string& etag = "");
  /// Whether the caller may read `file`, which isn't the right to list it: a byte of it came.
  Result<> ReadByte(const S3Access& access, const std::string& key, const ListedFile& file,
                    std::stop_token stop);
  /// Where a GET that was answered with a redirect leads, unsigned; nothing if it wasn't.
  Result<std::optional<Url>> RedirectOf(const S3Access& access, const std::string& key,
                                        std::stop_token stop);

  const S3Settings settings_;
  const std::shared_ptr<S3Client> client_;        // shared with sources of other settings
  const std::shared_ptr<HttpClient> http_;        // shared with the other sources
  const std::shared_ptr<AwsNodeKeys> node_keys_;  // shared with sources of other settings
};

}  // namespace weighhouse::source
