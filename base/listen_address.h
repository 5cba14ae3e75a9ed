#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weighhouse {

/// Where a TCP server listens.
struct ListenAddress {
  std::string host;   ///< an IPv4 or IPv6 address, without brackets; empty: every address there is
  uint16_t port = 0;  ///< 0: one that is free

  /// Reads `127.0.0.1:9899`, `[::1]:9899` or `:9899`. No names: what a name means may change
  /// between two looks. kInvalidArgument says what is right.
  static Result<ListenAddress> Parse(std::string_view text);
  /// As Parse reads it.
  std::string ToString() const;
  bool operator==(const ListenAddress&) const = default;
};

}  // namespace weighhouse
