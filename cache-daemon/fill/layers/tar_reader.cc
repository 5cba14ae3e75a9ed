#include "cache-daemon/fill/layers/tar_reader.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/tar_header.h"

namespace weighhouse::fill {
namespace {

using source::kTarBlock;
using source::RefuseTar;
using source::TarHeader;
using Block = std::span<const std::byte>;

TarEntry::Type TypeOf(const TarHeader& header) {
  using enum TarEntry::Type;
  if (header.IsFile()) return kFile;
  if (header.IsDirectory()) return kDirectory;
  return header.type == '1' ? kHardLink : header.type == '2' ? kSymbolicLink : kOther;
}

bool IsZero(std::string_view block) {
  return std::ranges::all_of(block, [](char c) { return c == '\0'; });
}

}  // namespace

Result<Block> TarReader::Take(Bytes most) {
  if (rest_.empty()) rest_ = TRY(bytes_());
  Block taken = rest_.first(std::min<Bytes>(most, rest_.size()));
  rest_ = rest_.subspan(taken.size());
  return taken;
}

Result<std::optional<std::string>> TarReader::TakeAll(Bytes count) {
  std::string all;
  while (all.size() < count) {
    Block taken = TRY(Take(count - all.size()));
    if (taken.empty() && all.empty()) return std::nullopt;
    if (taken.empty()) return RefuseTar("is cut off");
    all.append(reinterpret_cast<const char*>(taken.data()), taken.size());
  }
  return all;
}

Result<> TarReader::Skip(Bytes count) {
  while (count > 0) {
    Block taken = TRY(Take(count));
    if (taken.empty()) return RefuseTar("is cut off");
    count -= taken.size();
  }
  return {};
}

Result<std::optional<TarEntry>> TarReader::Next() {
  TRY(Skip(std::exchange(left_, 0)));
  TRY(Skip(std::exchange(padding_, 0)));
  source::TarExtended extended;
  while (true) {
    std::optional<std::string> block = TRY(TakeAll(kTarBlock));
    // Some writers leave the two blocks of zeros out.
    if (!block || IsZero(*block)) return std::nullopt;
    if (++entries_ > most_entries_) {
      return RefuseTar(fmt::format("has over {} entries", most_entries_));
    }
    TarHeader header = TRY(TarHeader::Parse(*block));
    if (header.IsExtension()) {
      if (header.size > source::kMostTarExtension) {
        return RefuseTar(fmt::format("describes a file in {} bytes", header.size));
      }
      std::optional<std::string> content = TRY(TakeAll(source::TarBlocks(header.size)));
      if (!content && header.size > 0) return RefuseTar("is cut off");
      std::string text = content.value_or("").substr(0, header.size);
      TRY(source::ReadTarExtension(header.type, text, extended));
      continue;
    }
    if (header.type == 'S') return RefuseTar("holds a sparse file");
    Bytes size = header.HasContent() ? extended.size.value_or(header.size) : 0;
    left_ = size;
    padding_ = source::TarBlocks(size) - size;
    return TarEntry{
        .type = TypeOf(header), .path = extended.path.value_or(header.name), .size = size};
  }
}

Result<Block> TarReader::Content() {
  if (left_ == 0) return Block();
  Block taken = TRY(Take(left_));
  if (taken.empty()) return RefuseTar("is cut off");
  left_ -= taken.size();
  return taken;
}

}  // namespace weighhouse::fill
