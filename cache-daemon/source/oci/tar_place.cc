#include "cache-daemon/source/oci/tar_place.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/tar_header.h"

namespace weighhouse::source::oci {
namespace {

/// Goes through a tar's entries from its start.
class TarWalk {
 public:
  TarWalk(std::string_view head, Bytes size) : head_(head.substr(0, size)), size_(size) {}

  Result<TarPlace> FirstFile();

 private:
  /// The next header.
  Result<TarHeader> Header();
  /// The content of an entry that describes the next one.
  Result<std::string_view> Content(Bytes bytes);

  const std::string_view head_;
  const Bytes size_;
  Bytes at_ = 0;
};

Result<TarHeader> TarWalk::Header() {
  if (size_ - at_ < kTarBlock) return RefuseTar("holds no file");
  if (head_.size() < at_ + kTarBlock) {
    return Fail(
        Code::kUnimplemented,
        fmt::format("the layer is a tar whose first file begins after {} bytes", head_.size()));
  }
  std::string_view block = head_.substr(at_, kTarBlock);
  if (IsEndOfTar(block)) return RefuseTar("holds no file");
  TarHeader header = TRY(TarHeader::Parse(block));
  at_ += kTarBlock;
  return header;
}

Result<std::string_view> TarWalk::Content(Bytes bytes) {
  // Whole blocks, all of which must be at hand.
  if (bytes > head_.size() || head_.size() - at_ < TarBlocks(bytes)) {
    return RefuseTar("describes its first file at too great a length");
  }
  std::string_view content = head_.substr(at_, bytes);
  at_ += TarBlocks(bytes);
  return content;
}

Result<TarPlace> TarWalk::FirstFile() {
  TarExtended extended;
  while (true) {
    TarHeader header = TRY(Header());
    // (K tells where a link leads.)
    if (header.IsExtension() && header.type != 'K') {
      std::string_view content = TRY(Content(header.size));
      TRY(ReadTarExtension(header.type, content, extended));
      continue;
    }
    std::string path = extended.path.value_or(header.name);
    if (!header.IsFile() && !header.IsDirectory()) {
      return RefuseTar(
          fmt::format("holds '{}', which is neither file nor directory", Printable(path)));
    }
    if (header.IsDirectory()) {
      extended = {};
      continue;
    }
    while (path.starts_with("./")) path.erase(0, 2);
    Bytes length = extended.size.value_or(header.size);
    if (length > size_ - at_) return RefuseTar("ends before its first file does");
    return TarPlace{.path = std::move(path), .bytes = {.begin = at_, .end = at_ + length}};
  }
}

}  // namespace

Result<TarPlace> FindFirstFile(std::string_view head, Bytes size) {
  return TarWalk(head, size).FirstFile();
}

bool IsEndOfTar(std::string_view tail) {
  return std::ranges::all_of(tail, [](char c) { return c == '\0'; });
}

}  // namespace weighhouse::source::oci
