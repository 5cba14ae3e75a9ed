#include "cache-daemon/source/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

using Bits = std::array<uint8_t, 16>;

constexpr int kMappedBits = 96;
constexpr Bits kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
/// RFC 6052 section 2.1: 64:ff9b::/96.
constexpr Bits kNat64 = {0x00, 0x64, 0xFF, 0x9B};

Bits MappedFrom(const uint8_t* four) {
  Bits bits = kMapped;
  std::copy_n(four, 4, bits.begin() + 12);
  return bits;
}

bool BeginsWith(const Bits& bits, const Bits& prefix, int length) {
  int whole = length / 8, rest = length % 8;
  if (!std::equal(bits.begin(), bits.begin() + whole, prefix.begin())) return false;
  if (rest == 0) return true;
  int mask = 0xFF << (8 - rest);
  return ((bits[whole] ^ prefix[whole]) & mask) == 0;
}

/// The IPv4 address that `bits` lead to, where they do.
Bits Innermost(const Bits& bits) {
  if (BeginsWith(bits, kNat64, kMappedBits)) return MappedFrom(&bits[12]);
  if (bits[0] == 0x20 && bits[1] == 0x02) return MappedFrom(&bits[2]);  // 6to4, RFC 3056
  // IPv4-compatible, RFC 4291 section 2.5.5.1; :: and ::1 are addresses of their own.
  bool compatible = BeginsWith(bits, Bits{}, kMappedBits);
  bool low = bits[12] == 0 && bits[13] == 0 && bits[14] == 0 && bits[15] <= 1;
  return compatible && !low ? MappedFrom(&bits[12]) : bits;
}

std::optional<Bits> ParseBits(std::string_view text) {
  std::string copy(text);
  if (copy.size() != std::strlen(copy.c_str())) return std::nullopt;
  Bits bits;
  if (inet_pton(AF_INET6, copy.c_str(), bits.data()) == 1) return bits;
  uint8_t four[4];
  if (inet_pton(AF_INET, copy.c_str(), four) == 1) return MappedFrom(four);
  return std::nullopt;
}

struct KnownRange {
  AddressRange range;
  AddressKind kind;
};

/// The first that contains an address says its kind.
std::vector<KnownRange> MakeKnownRanges() {
  using enum AddressKind;
  constexpr std::pair<const char*, AddressKind> kRanges[] = {
      {"127.0.0.0/8", kLoopback},
      {"::1", kLoopback},
      {"169.254.0.0/16", kLinkLocal},
      {"fe80::/10", kLinkLocal},
      // AWS answers pods' and machines' identities here, as at 169.254.169.254 and .170.23.
      {"fd00:ec2::/32", kMetadata},
      {"fd20:ce::254", kMetadata},     // Google Cloud
      {"168.63.129.16", kMetadata},    // Azure: the machine's goal state, certificates included
      {"100.100.100.200", kMetadata},  // Alibaba Cloud
      {"192.0.0.192", kMetadata},      // Oracle Cloud
      {"0.0.0.0/8", kUnspecified},
      {"::", kUnspecified},
      {"224.0.0.0/4", kMulticast},
      {"ff00::/8", kMulticast},
      {"240.0.0.0/4", kReserved},
      {"192.0.0.0/24", kReserved},
      // What a translator makes of these is its own affair, and may be an inner IPv4 address:
      {"64:ff9b:1::/48", kReserved},   // RFC 8215
      {"::ffff:0:0:0/96", kReserved},  // RFC 2765: IPv4-translated
      {"fec0::/10", kReserved},
      {"10.0.0.0/8", kPrivate},
      {"172.16.0.0/12", kPrivate},
      {"192.168.0.0/16", kPrivate},
      {"100.64.0.0/10", kPrivate},
      {"198.18.0.0/15", kPrivate},
      {"fc00::/7", kPrivate},
  };
  std::vector<KnownRange> known;
  for (const auto& [text, kind] : kRanges) {
    Result<AddressRange> range = AddressRange::Parse(text);
    CHECK(range);
    known.push_back({.range = *range, .kind = kind});
  }
  return known;
}

}  // namespace

IpAddress::IpAddress(const Bits& bits) : bits_(Innermost(bits)) {}

std::optional<IpAddress> IpAddress::Of(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in four;
    std::memcpy(&four, &address, sizeof(four));
    return IpAddress(MappedFrom(reinterpret_cast<const uint8_t*>(&four.sin_addr)));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 six;
    std::memcpy(&six, &address, sizeof(six));
    Bits bits;
    std::memcpy(bits.data(), &six.sin6_addr, bits.size());
    return IpAddress(bits);
  }
  return std::nullopt;
}

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  // A zone says which link: `fe80::1%eth0`.
  std::optional<Bits> bits = ParseBits(text.substr(0, text.find('%')));
  if (!bits) return std::nullopt;
  return IpAddress(*bits);
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  bool four = BeginsWith(bits_, kMapped, kMappedBits);
  if (four) {
    inet_ntop(AF_INET, &bits_[12], text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, bits_.data(), text, sizeof(text));
  }
  return text;
}

Result<AddressRange> AddressRange::Parse(std::string_view text) {
  auto wrong = [&] {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' is no range of addresses: give one such as 10.0.0.0/8, "
                            "fd00::/8 or 192.0.2.7",
                            Printable(text, 60)));
  };
  size_t slash = text.find('/');
  std::string_view address = text.substr(0, slash);
  std::optional<Bits> bits = ParseBits(address);
  if (!bits) return wrong();
  bool four = !address.contains(':');
  AddressRange range;
  range.bits_ = *bits;
  if (slash == std::string_view::npos) return range;
  std::string_view digits = text.substr(slash + 1);
  int length = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  bool whole = error == std::errc() && end == digits.data() + digits.size() && !digits.empty();
  if (!whole || length < 0 || length > (four ? 32 : 128)) return wrong();
  range.length_ = four ? kMappedBits + length : length;
  // What is beyond the prefix says nothing, and would make equal ranges differ.
  for (int bit = range.length_; bit < 128; ++bit) range.bits_[bit / 8] &= ~(0x80 >> bit % 8);
  return range;
}

bool AddressRange::Contains(const IpAddress& address) const {
  return BeginsWith(address.bits_, bits_, length_);
}

AddressKind KindOf(const IpAddress& address) {
  static const std::vector<KnownRange> known = MakeKnownRanges();
  auto found = std::ranges::find_if(
      known, [&](const KnownRange& each) { return each.range.Contains(address); });
  return found == known.end() ? AddressKind::kPublic : found->kind;
}

std::string_view Describe(AddressKind kind) {
  switch (kind) {
    case AddressKind::kPublic:
      return "a public address";
    case AddressKind::kPrivate:
      return "a private address";
    case AddressKind::kLoopback:
      return "a loopback address";
    case AddressKind::kLinkLocal:
      return "a link-local address";
    case AddressKind::kMetadata:
      return "a cloud's metadata address";
    case AddressKind::kUnspecified:
      return "an unspecified address";
    case AddressKind::kMulticast:
      return "a multicast address";
    case AddressKind::kReserved:
      return "a reserved address";
  }
  return "";
}

}  // namespace weighhouse::source
