#pragma once

#include <memory>
#include <string>

#include "cache-daemon/source/oci/manifest.h"
#include "cache-daemon/source/oci/registry_client.h"
#include "cache-daemon/source/oci/tar_layers.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::source::oci {

/// Models in OCI registries (facts/model-sources.md 5): ModelPack, ORAS files, Docker Model Runner,
/// KitOps, and images with a model in /models (layer_files.h). A raw layer is a file, by its
/// digest; of a tar of one file, the file is a range of the layer, and proves right with all of the
/// layer; all other tars, and what is compressed, are the listing's `packed` layers. The revision
/// of a listing is its manifest's digest, also where an index led to it, so that every node gets
/// the same bytes. The login is the credentials' `.dockerconfigjson`, else `username` and
/// `password` (login.h). Thread-safe.
///
/// Every manifest's bytes are compared with the digest that led to them (kDataLoss); what the
/// registry says of a digest is not believed.
class OciRegistry final : public Source {
 public:
  OciRegistry(PlainHttp plain_http, std::shared_ptr<HttpClient> client);

  std::string OriginFor(const ModelReference& reference,
                        const Credentials& credentials) const override;
  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  /// The location ends with the token that it was asked with. kOutOfRange if the registry has a
  /// blob of another size.
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  struct Found {
    Manifest manifest;
    std::string digest;
  };
  /// Fills in what the manifest's layers are.
  Result<> ListLayers(const RegistryAsker& asker, const Manifest& manifest, Listing& listing,
                      std::stop_token stop);
  /// The one file of a tar; nothing where it holds more.
  Result<std::optional<ListedFile>> OneFileOf(const RegistryAsker& asker, const PackedLayer& layer,
                                              std::stop_token stop);
  Result<std::vector<std::string>> FindDiffIds(const RegistryAsker& asker, const Manifest& manifest,
                                               std::stop_token stop);
  /// Where `file` begins in its layer; of a raw layer nothing.
  Result<std::optional<TarLayer>> FindInTar(const RegistryAsker& asker, const ListedFile& file,
                                            std::stop_token stop);
  /// Follows indexes to a manifest.
  Result<Found> FindManifest(const RegistryAsker& asker, const std::string& name,
                             std::stop_token stop);

  RegistryClient registry_;
  TarLayers tars_{registry_};
};

}  // namespace weighhouse::source::oci
