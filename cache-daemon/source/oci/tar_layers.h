#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "cache-daemon/source/oci/registry_client.h"
#include "cache-daemon/source/oci/tar_place.h"
#include "cache-daemon/source/source.h"
#include "cache-daemon/source/web/recent_lists.h"

namespace weighhouse::source::oci {

/// A layer that is a tar of one file, which isn't compressed: the file is a range of it.
struct TarLayer {
  TarPlace place;
  /// Shared with the locations of its file.
  std::shared_ptr<const Enclosure> around;

  Bytes LayerBytes() const {
    return around->before.size() + place.bytes.size() + around->after.size();
  }
};

/// Finds the files of such layers by reading what is around them. What was read is nobody's word
/// for anything: only when the layer's digest has been computed over it and the file is the file
/// what it seemed. It is kept for ten minutes, for each registry's repository apart, because every
/// publish lists anew. Thread-safe.
class TarLayers {
 public:
  explicit TarLayers(RegistryClient& registry) : registry_(registry) {}

  /// `digest`: the layer's, `sha256:` and 64 digits. Errors: RegistryClient::Get's,
  /// FindFirstFile's; kUnimplemented for more than one file: it must be read whole.
  Result<TarLayer> Find(const RegistryAsker& asker, const std::string& digest,
                        std::stop_token stop);

 private:
  struct Part {
    std::string bytes;
    Bytes total = 0;  ///< of the whole layer
  };
  Result<TarLayer> Read(const RegistryAsker& asker, const std::string& digest,
                        std::stop_token stop);
  Result<Part> ReadPart(const RegistryAsker& asker, const std::string& digest, ByteRange range,
                        std::stop_token stop);

  RegistryClient& registry_;
  RecentLists<TarLayer> kept_{
      {.age = std::chrono::minutes(10), .count = 10'000, .bytes = 16 * kMiB}};
};

}  // namespace weighhouse::source::oci
