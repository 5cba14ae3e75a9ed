#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weighhouse {

/// A SHA-256 value (FIPS 180-4). Blobs are named by it.
class Digest {
 public:
  static constexpr size_t kSize = 32;

  Digest() = default;
  explicit Digest(std::array<uint8_t, kSize> bytes) : bytes_(bytes) {}
  /// From 64 lower-case hexadecimal digits; anything else is kInvalidArgument.
  static Result<Digest> FromHex(std::string_view hex);
  /// Of the bytes of `text`.
  static Digest Of(std::string_view text);

  std::string Hex() const;
  /// Its 32 octets, for as long as it lives.
  std::string_view Octets() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  bool operator==(const Digest&) const = default;
  /// As the bytes are ordered. Most differ in the first eight, and books of 100,000 compare often.
  std::strong_ordering operator<=>(const Digest& other) const {
    uint64_t first = Leading();
    uint64_t second = other.Leading();
    if (first != second) return first <=> second;
    return std::memcmp(bytes_.data(), other.bytes_.data(), kSize) <=> 0;
  }

 private:
  /// The first eight bytes as a number that is ordered as they are.
  uint64_t Leading() const {
    uint64_t value = 0;
    std::memcpy(&value, bytes_.data(), sizeof(value));
    return std::endian::native == std::endian::little ? __builtin_bswap64(value) : value;
  }

  std::array<uint8_t, kSize> bytes_{};
};

/// Lower-case hexadecimal of `bytes`.
std::string HexEncode(std::span<const uint8_t> bytes);

/// True for exactly `length` lower-case hexadecimal digits.
bool IsHex(std::string_view text, size_t length);

/// Hashes a byte stream as it passes. Not thread-safe.
class Hasher {
 public:
  enum class Algorithm {
    kSha256,
    kSha1,  ///< Only for git blob ids (git-sha1): never a name of stored bytes.
  };
  explicit Hasher(Algorithm algorithm);
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view text);
  /// The digest in lower-case hexadecimal. Ends the stream: no call may follow.
  std::string FinishHex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weighhouse

template <>
struct std::hash<weighhouse::Digest> {
  size_t operator()(const weighhouse::Digest& digest) const {
    return std::hash<std::string>{}(digest.Hex());
  }
};
