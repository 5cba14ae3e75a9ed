#include "cache-daemon/source/oci/tar_place.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/http_headers.h"

namespace weighhouse::source::oci {
namespace {

constexpr size_t kBlock = 512;

/// One field of a header block.
struct Field {
  size_t at, size;
};
constexpr Field kName{0, 100}, kSize{124, 12}, kChecksum{148, 8}, kType{156, 1}, kMagic{257, 6},
    kPrefix{345, 155};

std::unexpected<Error> Refuse(std::string what) {
  return Fail(Code::kInvalidArgument, fmt::format("the layer is a tar that {}: refused", what));
}

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
  for (size_t i = 0; i < kBlock; ++i) {
    bool own = i >= kChecksum.at && i < kChecksum.at + kChecksum.size;
    sum += static_cast<unsigned char>(own ? ' ' : block[i]);
  }
  return NumberOf(block, kChecksum) == sum;
}

/// What extended headers say of the next entry.
struct Extended {
  std::optional<std::string> path;
  std::optional<Bytes> size;
};

/// Records of "length keyword=value\n"; the length counts the whole record.
Result<> ReadPax(std::string_view records, Extended& extended) {
  while (!records.empty()) {
    size_t space = records.find(' ');
    std::optional<uint64_t> length = ParseNumber(records.substr(0, space));
    bool whole = length && space != std::string_view::npos && *length > space + 1;
    if (!whole || *length > records.size()) {
      return Refuse("has a broken extended header");
    }
    std::string_view record = records.substr(space + 1, *length - space - 1);
    records.remove_prefix(*length);
    size_t equals = record.find('=');
    if (!record.ends_with('\n') || equals == std::string_view::npos) {
      return Refuse("has a broken extended header");
    }
    std::string_view keyword = record.substr(0, equals);
    std::string_view value = record.substr(equals + 1, record.size() - equals - 2);
    if (keyword.starts_with("GNU.sparse.")) return Refuse("holds a sparse file");
    if (keyword == "path") extended.path = value;
    if (keyword != "size") continue;
    extended.size = ParseNumber(value);
    if (!extended.size) return Refuse("has a broken size in an extended header");
  }
  return {};
}

std::string NameOf(std::string_view block) {
  std::string name(TextOf(block, kName));
  // GNU's own form has other things where the prefix is.
  bool posix = RawOf(block, kMagic) == std::string_view("ustar\0", 6);
  std::string_view prefix = posix ? TextOf(block, kPrefix) : "";
  return prefix.empty() ? name : fmt::format("{}/{}", prefix, name);
}

/// Goes through a tar's entries from its start.
class TarWalk {
 public:
  TarWalk(std::string_view head, Bytes size) : head_(head.substr(0, size)), size_(size) {}

  Result<TarPlace> FirstFile();

 private:
  /// The next header block.
  Result<std::string_view> Header();
  /// The content of an entry that describes the next one.
  Result<std::string_view> Content(Bytes bytes);
  Result<> ReadExtended(char type, Bytes bytes, Extended& extended);

  const std::string_view head_;
  const Bytes size_;
  Bytes at_ = 0;
};

Result<std::string_view> TarWalk::Header() {
  if (size_ - at_ < kBlock) return Refuse("holds no file");
  if (head_.size() < at_ + kBlock) {
    return Fail(Code::kUnimplemented,
                fmt::format("the layer is a tar whose first file begins after {} bytes, which is "
                            "not served yet: package the file in a layer of its own",
                            head_.size()));
  }
  std::string_view block = head_.substr(at_, kBlock);
  if (IsEndOfTar(block)) return Refuse("holds no file");
  if (!HasItsChecksum(block)) return Refuse("has a header with a wrong checksum, or is no tar");
  at_ += kBlock;
  return block;
}

Result<std::string_view> TarWalk::Content(Bytes bytes) {
  // Whole blocks, all of which must be at hand.
  if (bytes > head_.size() || head_.size() - at_ < (bytes + kBlock - 1) / kBlock * kBlock) {
    return Refuse("describes its first file at too great a length");
  }
  std::string_view content = head_.substr(at_, bytes);
  at_ += (bytes + kBlock - 1) / kBlock * kBlock;
  return content;
}

Result<> TarWalk::ReadExtended(char type, Bytes bytes, Extended& extended) {
  std::string_view content = TRY(Content(bytes));
  if (type == 'x') return ReadPax(content, extended);
  // What 'g' says for all that follows is time and comment; a size or a path there would be a lie.
  Extended global;
  if (type == 'g') {
    TRY(ReadPax(content, global));
    if (!global.path && !global.size) return {};
    return Refuse("names all its files alike");
  }
  extended.path = content.substr(0, content.find('\0'));
  return {};
}

Result<TarPlace> TarWalk::FirstFile() {
  Extended extended;
  while (true) {
    std::string_view block = TRY(Header());
    std::optional<Bytes> bytes = NumberOf(block, kSize);
    if (!bytes) return Refuse("has a broken size");
    char type = RawOf(block, kType).front();
    if (type == 'x' || type == 'g' || type == 'L') {
      TRY(ReadExtended(type, *bytes, extended));
      continue;
    }
    bool directory = type == '5';
    bool file = type == '0' || type == '\0' || type == '7';
    std::string path = extended.path.value_or(NameOf(block));
    if (!file && !directory) {
      return Refuse(
          fmt::format("holds '{}', which is neither file nor directory", Printable(path)));
    }
    if (directory) {
      extended = {};
      continue;
    }
    while (path.starts_with("./")) path.erase(0, 2);
    Bytes length = extended.size.value_or(*bytes);
    if (length > size_ - at_) return Refuse("ends before its first file does");
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
