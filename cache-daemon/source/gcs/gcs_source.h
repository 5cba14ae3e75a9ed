#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cache-daemon/source/gcs/gcs_answers.h"
#include "cache-daemon/source/gcs/gcs_tokens.h"
#include "cache-daemon/source/s3/s3_place.h"
#include "cache-daemon/source/source.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {

/// `gs://bucket/prefix` by the JSON API of Google Cloud Storage (facts/model-sources.md 4):
/// everything below a prefix, or the one object of that name. A file's identity is its sha256 where
/// a SHA256SUMS beside the objects gives one, else its generation, which its location asks for; its
/// crc32c goes along. Whoever may list need not be one who may read: a byte of each object shows
/// that. Thread-safe.
class GcsSource final : public Source {
 public:
  /// `endpoint`: its path is a prefix, without a slash at the end.
  GcsSource(Url endpoint, const GcsTokenOptions& options, std::shared_ptr<HttpClient> http,
            std::shared_ptr<GcsTokens> tokens);

  std::string OriginFor(const ModelReference& reference,
                        const Credentials& credentials) const override;
  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  Result<bool> ShowRights(const ModelReference& reference, const Credentials& credentials,
                          const Listing& selected, std::stop_token stop) override;
  /// kOutOfRange if that generation of the object is gone.
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  struct Asker {
    std::string bucket;
    std::optional<GcsToken> token;
    /// Whoever asks asks so: without a token, or with one that is every tenant's.
    bool IsEverybodys() const { return !token || token->of_node; }
    std::vector<std::string> Headers() const;
  };
  Result<Asker> MakeAsker(const std::string& bucket, const Credentials& credentials,
                          std::stop_token stop);
  /// `{endpoint}/storage/v1/b/{bucket}/o` + `rest`.
  std::string UrlOf(const Asker& asker, const std::string& rest) const;
  /// The answer's body; any status but 200 is an error about gs://bucket/`name`.
  Result<std::string> Ask(const Asker& asker, const std::string& rest, const std::string& name,
                          Bytes limit, std::stop_token stop);
  Result<std::vector<ListedFile>> List(const Asker& asker, const std::string& prefix,
                                       std::stop_token stop);
  /// The one object of that name, whose digest may lie beside it.
  Result<ListedFile> ListOne(const Asker& asker, const BucketPath& place, std::stop_token stop);
  /// The object's present version, or that of `generation` if it isn't empty.
  Result<GcsObject> Look(const Asker& asker, const std::string& name, const std::string& generation,
                         std::stop_token stop);
  /// The content of a SHA256SUMS.
  Result<std::string> ReadSums(const Asker& asker, const std::string& name, std::stop_token stop);
  /// Whether the caller may read the object, which isn't the right to list it: a byte came.
  Result<> ReadByte(const Asker& asker, const std::string& name, const std::string& generation,
                    std::stop_token stop);

  const Url endpoint_;
  const std::string endpoint_text_;
  const GcsTokenOptions options_;
  const std::shared_ptr<HttpClient> http_;   // shared with the other sources
  const std::shared_ptr<GcsTokens> tokens_;  // shared with sources of other settings
};

}  // namespace weighhouse::source
