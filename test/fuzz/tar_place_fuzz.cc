// The start of a layer that is a tar. The first byte says how many blocks more the layer has; where
// it is odd, every header's checksum is made to fit, so that what is behind it is reached.

#include <fmt/format.h>

#include "cache-daemon/source/oci/tar_place.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source::oci {
namespace {

constexpr size_t kTarBlock = 512, kTarChecksum = 148, kTarMagic = 257;

void FitChecksums(std::string& tar) {
  for (size_t at = 0; at + kTarBlock <= tar.size(); at += kTarBlock) {
    if (tar.compare(at + kTarMagic, 5, "ustar") != 0) continue;
    tar.replace(at + kTarChecksum, 8, 8, ' ');
    unsigned sum = 0;
    for (size_t i = 0; i < kTarBlock; ++i) sum += static_cast<unsigned char>(tar[at + i]);
    std::string digits = fmt::format("{:06o}", sum);
    tar.replace(at + kTarChecksum, 8, digits + std::string("\0 ", 2));
  }
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(tar_place, bytes) {
  std::string_view rest = bytes;
  unsigned char more = fuzz::TakeByte(rest);
  std::string head(rest);
  if (more & 1) FitChecksums(head);
  Bytes size = head.size() + (more >> 1) * kTarBlock;
  Result<TarPlace> place = FindFirstFile(head, size);
  if (!place) {
    CHECK(place.error().code == Code::kInvalidArgument ||
          place.error().code == Code::kUnimplemented);
    CHECK(place.error().message.size() < 2000);
    return;
  }
  const ByteRange& file = place->bytes;
  CHECK(file.begin >= kTarBlock && file.begin % kTarBlock == 0);
  CHECK(file.begin <= file.end && file.end <= size && file.begin <= head.size());
  CHECK(place->path.size() <= head.size() && !place->path.starts_with("./"));
  // All of what stands before the file is at hand, whatever the layer's length.
  Result<TarPlace> longer = FindFirstFile(head, size + kTarBlock);
  CHECK(longer && longer->bytes == file && longer->path == place->path);
  if (file.end <= head.size()) IsEndOfTar(std::string_view(head).substr(file.end));
}

}  // namespace weighhouse::source::oci
