#include "cache-daemon/source/tar_header.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/http_headers.h"

namespace weighhouse::source {
namespace {

/// One field of a header block.
struct Field {
  size_t at, size;
};
constexpr Field kName{0, 100}, kSize{124, 12}, kChecksum{148, 8}, kType{156, 1}, kMagic{257, 6},
    kPrefix{345, 155};

std::string_view RawOf(std::string_view block, Field field) {
  return block.substr(field.at, field.size);
}

/// Up to the first NUL.
std::string_view TextOf(std::string_view block, Field field) {
  std::string_view raw = RawOf(block, field);
  return raw.substr(0, raw.find('\0'));
}

/// Octal digits, or (GNU) a number to the base of 256 behind a first bit that is set.
std::optional<Bytes> NumberOf(std::string_view block, Field field) {
  std::string_view raw = RawOf(block, field);
  Bytes number = 0;
  bool binary = (static_cast<unsigned char>(raw.front()) & 0x80) != 0;
  if (!binary) {
    std::string_view digits = Trim(TextOf(block, field));
    for (char c : digits) {
      if (c < '0' || c > '7') return std::nullopt;
      number = number * 8 + static_cast<Bytes>(c - '0');  // 12 digits at most
    }
    return number;
  }
  for (size_t i = 0; i < raw.size(); ++i) {
    unsigned byte = static_cast<unsigned char>(raw[i]);
    if (i == 0) byte &= 0x7FU;
    if (number > kMaxFileBytes >> 8) return std::nullopt;
    number = number << 8 | byte;
  }
  return number;
}

/// The sum of all bytes, with those of the checksum itself taken for spaces.
bool HasItsChecksum(std::string_view block) {
  Bytes sum = 0;
  for (size_t i = 0; i < kTarBlock; ++i) {
    bool own = i >= kChecksum.at && i < kChecksum.at + kChecksum.size;
    sum += static_cast<unsigned char>(own ? ' ' : block[i]);
  }
  return NumberOf(block, kChecksum) == sum;
}

std::string NameOf(std::string_view block) {
  std::string name(TextOf(block, kName));
  // GNU's own form has other things where the prefix is.
  bool posix = RawOf(block, kMagic) == std::string_view("ustar\0", 6);
  std::string_view prefix = posix ? TextOf(block, kPrefix) : "";
  return prefix.empty() ? name : fmt::format("{}/{}", prefix, name);
}

/// Records of "length keyword=value\n"; the length counts the whole record.
Result<> ReadPax(std::string_view records, TarExtended& extended) {
  while (!records.empty()) {
    size_t space = records.find(' ');
    std::optional<uint64_t> length = ParseNumber(records.substr(0, space));
    bool whole = length && space != std::string_view::npos && *length > space + 1;
    if (!whole || *length > records.size()) {
      return RefuseTar("has a broken extended header");
    }
    std::string_view record = records.substr(space + 1, *length - space - 1);
    records.remove_prefix(*length);
    size_t equals = record.find('=');
    if (!record.ends_with('\n') || equals == std::string_view::npos) {
      return RefuseTar("has a broken extended header");
    }
    std::string_view keyword = record.substr(0, equals);
    std::string_view value = record.substr(equals + 1, record.size() - equals - 2);
    if (keyword.starts_with("GNU.sparse.")) return RefuseTar("holds a sparse file");
    if (keyword == "path") extended.path = value;
    if (keyword != "size") continue;
    extended.size = ParseNumber(value);
    if (!extended.size || *extended.size > kMaxFileBytes) {
      return RefuseTar("has a broken size in an extended header");
    }
  }
  return {};
}

}  // namespace

bool TarHeader::IsExtension() const {
  return type == 'x' || type == 'g' || type == 'L' || type == 'K';
}

Result<TarHeader> TarHeader::Parse(std::string_view block) {
  if (block.size() != kTarBlock || !HasItsChecksum(block)) {
    return RefuseTar("has a header with a wrong checksum, or is no tar");
  }
  std::optional<Bytes> size = NumberOf(block, kSize);
  if (!size || *size > kMaxFileBytes) return RefuseTar("has a broken size");
  return TarHeader{.type = RawOf(block, kType).front(), .name = NameOf(block), .size = *size};
}

Result<> ReadTarExtension(char type, std::string_view content, TarExtended& extended) {
  if (type == 'x') return ReadPax(content, extended);
  // What 'g' says for all that follows is time and comment; a size or a path there would be a lie.
  TarExtended global;
  if (type == 'g') {
    TRY(ReadPax(content, global));
    if (!global.path && !global.size) return {};
    return RefuseTar("names all its files alike");
  }
  if (type == 'L') extended.path = content.substr(0, content.find('\0'));
  return {};
}

Bytes TarBlocks(Bytes bytes) { return (bytes + kTarBlock - 1) / kTarBlock * kTarBlock; }

std::unexpected<Error> RefuseTar(std::string what) {
  return Fail(Code::kInvalidArgument, fmt::format("the layer is a tar that {}: refused", what));
}

}  // namespace weighhouse::source
