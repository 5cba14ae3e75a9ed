#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/units.h"

namespace weighhouse::source {

/// All of a tar are blocks of so many bytes.
constexpr size_t kTarBlock = 512;
/// What describes one entry (names, times, attributes) is shorter.
constexpr Bytes kMostTarExtension = kMiB;

/// One header block (POSIX.1-2017 pax, "ustar Interchange Format"; GNU's large numbers).
struct TarHeader {
  char type = '0';
  std::string name;
  Bytes size = 0;

  /// Of an entry that only describes the one that follows: pax's `x` and `g`, GNU's `L` and `K`.
  bool IsExtension() const;
  bool IsFile() const { return type == '0' || type == '\0' || type == '7'; }
  bool IsDirectory() const { return type == '5'; }
  /// Whether blocks with content follow. Of links, devices and directories there are none, whatever
  /// size they are given.
  bool HasContent() const { return !(type >= '1' && type <= '6'); }

  /// kInvalidArgument for a block that is no header: its checksum, or a number in it, is wrong.
  static Result<TarHeader> Parse(std::string_view block);
};

/// What extensions say of the entry that follows them.
struct TarExtended {
  std::optional<std::string> path;
  std::optional<Bytes> size;
};

/// Reads the content of an extension of that type. kInvalidArgument where it is broken, speaks of a
/// sparse file, or names all files of the archive alike.
Result<> ReadTarExtension(char type, std::string_view content, TarExtended& extended);

/// Of content of `bytes`, with what fills its last block.
Bytes TarBlocks(Bytes bytes);

/// "the layer is a tar that …: refused", kInvalidArgument.
std::unexpected<Error> RefuseTar(std::string what);

}  // namespace weighhouse::source
