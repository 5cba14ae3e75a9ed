#include "cache-daemon/source/oci/tar_layers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/http_headers.h"

namespace weighhouse::source::oci {
namespace {

/// Directories and long names before the first file, and the padding after it (GNU tar's record has
/// 10 KiB), are shorter.
constexpr Bytes kMostAround = 64 * kKiB;

std::unexpected<Error> SeveralFiles(const std::string& path) {
  return Fail(Code::kUnimplemented,
              fmt::format("the layer is a tar of several files ('{}' and more)", Printable(path)));
}

std::unexpected<Error> IgnoresRange(const RegistryAsker& asker) {
  return Fail(Code::kUnimplemented, fmt::format("{} ignores Range, and sends whole layers only",
                                                asker.registry.Origin()));
}

}  // namespace

Result<TarLayer> TarLayers::Find(const RegistryAsker& asker, const std::string& digest,
                                 std::stop_token stop) {
  std::string key =
      fmt::format("{}/{} {}", asker.registry.Origin(), asker.image.repository, digest);
  if (std::shared_ptr<const TarLayer> kept = kept_.Find(key)) return *kept;
  Result<TarLayer> layer = Read(asker, digest, std::move(stop));
  if (!layer) return std::unexpected(std::move(layer).error().Within("layer " + digest));
  const Enclosure& around = *layer->around;
  Bytes bytes = sizeof(TarLayer) + sizeof(Enclosure) + key.size() + layer->place.path.size() +
                around.before.capacity() + around.after.capacity() + around.sha256.size();
  return *kept_.Remember(key, *std::move(layer), bytes);
}

Result<TarLayer> TarLayers::Read(const RegistryAsker& asker, const std::string& digest,
                                 std::stop_token stop) {
  Part head = TRY(ReadPart(asker, digest, {.begin = 0, .end = kMostAround}, stop));
  TarPlace place = TRY(FindFirstFile(head.bytes, head.total));
  Bytes end = place.bytes.end;
  if (head.total - end > kMostAround) return SeveralFiles(place.path);
  std::string after;
  if (end < head.bytes.size()) {
    after = head.bytes.substr(end);
  }
  Bytes from = std::max<Bytes>(end, head.bytes.size());
  if (from < head.total) {
    Part tail = TRY(ReadPart(asker, digest, {.begin = from, .end = head.total}, std::move(stop)));
    after += tail.bytes;
  }
  if (end + after.size() != head.total) {
    return Fail(Code::kUnavailable, "the registry sent another length than it said");
  }
  if (!IsEndOfTar(after)) return SeveralFiles(place.path);
  auto around = std::make_shared<Enclosure>();
  around->before = head.bytes.substr(0, place.bytes.begin);
  around->after = std::move(after);
  around->sha256 = digest.substr(digest.find(':') + 1);
  return TarLayer{.place = std::move(place), .around = std::move(around)};
}

Result<TarLayers::Part> TarLayers::ReadPart(const RegistryAsker& asker, const std::string& digest,
                                            ByteRange range, std::stop_token stop) {
  RegistryClient::Request request{
      .path = "/blobs/" + digest,
      .what = "blob " + digest,
      .headers = {fmt::format("Range: bytes={}-{}", range.begin, range.end - 1)},
      .body_limit = range.size()};
  Result<RegistryClient::Answer> answer = registry_.Get(asker, request, stop);
  if (!answer && answer.error().code == Code::kInvalidArgument) {
    // More came than was asked for, perhaps: the headers alone tell.
    request.body_limit = 0;
    RegistryClient::Answer headers = TRY(registry_.Get(asker, request, std::move(stop)));
    if (headers.reply.response.status() == 200) return IgnoresRange(asker);
  }
  if (!answer) return std::unexpected(std::move(answer).error());
  HttpResponse& response = answer->reply.response;
  Part part{.bytes = std::move(response.body), .total = 0};
  part.total = part.bytes.size();
  // A layer that is shorter than the range may come whole.
  if (response.status() == 200 && range.begin == 0) return part;
  if (response.status() == 200) return IgnoresRange(asker);
  auto got = ParseContentRange(response.headers.Find("content-range"));
  bool right = got && got->total && got->range.begin == range.begin &&
               got->range.size() == part.bytes.size() && got->range.end <= *got->total;
  if (!right) {
    return Fail(Code::kUnavailable, fmt::format("asked for bytes {}-{}, the registry sent others",
                                                range.begin, range.end - 1));
  }
  part.total = *got->total;
  return part;
}

}  // namespace weighhouse::source::oci
