#include "cache-daemon/source/oci/tar_layers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/http_headers.h"

namespace weighhouse::source::oci {
namespace {

using std::chrono::steady_clock;

/// Directories and long names before the first file, and the padding after it (GNU tar's record has
/// 10 KiB), are shorter.
constexpr Bytes kMostAround = 64 * kKiB;
constexpr std::chrono::minutes kKeptLife{10};
constexpr size_t kMostKept = 10'000;

std::unexpected<Error> SeveralFiles(const std::string& path) {
  return Fail(Code::kUnimplemented,
              fmt::format("the layer is a tar of several files ('{}' and more)", Printable(path)));
}

}  // namespace

Result<TarLayer> TarLayers::Find(const RegistryAsker& asker, const std::string& digest,
                                 std::stop_token stop) {
  std::string key =
      fmt::format("{}/{} {}", asker.registry.Origin(), asker.image.repository, digest);
  {
    MutexLock lock(mutex_);
    auto found = kept_.find(key);
    if (found != kept_.end() && found->second.until > steady_clock::now()) {
      return found->second.layer;
    }
  }
  Result<TarLayer> layer = Read(asker, digest, std::move(stop));
  if (!layer) return std::unexpected(std::move(layer).error().Within("layer " + digest));
  MutexLock lock(mutex_);
  if (kept_.size() >= kMostKept) kept_.clear();
  kept_[key] = {.layer = *layer, .until = steady_clock::now() + kKeptLife};
  return layer;
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
  RegistryClient::Answer answer = TRY(registry_.Get(asker, request, std::move(stop)));
  HttpResponse& response = answer.reply.response;
  Part part{.bytes = std::move(response.body), .total = 0};
  part.total = part.bytes.size();
  // A layer that is shorter than the range may come whole.
  if (response.status() == 200 && range.begin == 0) return part;
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
