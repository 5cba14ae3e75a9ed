#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

struct sockaddr;

namespace weighhouse::source {

/// An IPv4 or IPv6 address. An IPv4 address that an IPv6 one stands for (mapped, compatible, 6to4,
/// NAT64 by the well-known prefix) is that IPv4 address: what is reached is what counts.
class IpAddress {
 public:
  /// Nothing for other families.
  static std::optional<IpAddress> Of(const sockaddr& address);
  /// `192.0.2.1`, `2001:db8::1`, or the latter in brackets; nothing for names.
  static std::optional<IpAddress> Parse(std::string_view text);

  std::string ToString() const;
  bool operator==(const IpAddress&) const = default;

 private:
  friend class AddressRange;
  using Bits = std::array<uint8_t, 16>;
  explicit IpAddress(const Bits& bits);

  Bits bits_;  ///< IPv4 as ::ffff:a.b.c.d
};

/// The addresses that begin with the same bits: `10.0.0.0/8`, `fd00::/8`.
class AddressRange {
 public:
  /// `10.0.0.0/8`, `2001:db8::/32`, or one address. kInvalidArgument says what is wrong.
  static Result<AddressRange> Parse(std::string_view text);
  bool Contains(const IpAddress& address) const;
  bool operator==(const AddressRange&) const = default;

 private:
  IpAddress::Bits bits_{};
  int length_ = 128;
};

/// What an address is for, as far as it decides whether a source may be there.
enum class AddressKind {
  kPublic,
  kPrivate,      ///< RFC 1918, RFC 6598 (100.64/10), RFC 4193 (fc00::/7), RFC 2544 (198.18/15)
  kLoopback,     ///< RFC 1122 (127/8), ::1
  kLinkLocal,    ///< RFC 3927 (169.254/16), RFC 4291 (fe80::/10)
  kMetadata,     ///< what clouds put their machines' identities behind, elsewhere than link-local
  kUnspecified,  ///< RFC 1122 (0/8), ::: Linux connects it to the loopback
  kMulticast,    ///< RFC 5771 (224/4), ff00::/8
  kReserved,     ///< RFC 1112 (240/4, with the broadcast), RFC 6890 (192.0.0/24), fec0::/10
};
AddressKind KindOf(const IpAddress& address);
/// For messages: "a loopback address".
std::string_view Describe(AddressKind kind);

}  // namespace weighhouse::source
