#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weighhouse {

/// What a source says of a whole file's bytes beside their identity. (A CRC finds accidents, not
/// forgery: it is no name of a content.)
struct ContentChecksum {
  enum class Kind { kSha256, kCrc32c, kCrc64Nvme };
  Kind kind = Kind::kSha256;
  std::string value;  ///< lower-case hexadecimal, the most significant byte first
  bool operator==(const ContentChecksum&) const = default;

  /// From base64, as S3 and GCS send it; nothing if it isn't one of the kind's length.
  static std::optional<ContentChecksum> FromBase64(Kind kind, std::string_view base64);
};

/// "sha256", "crc32c" or "crc64nvme".
std::string_view ChecksumKindName(ContentChecksum::Kind kind);

/// The octets that `base64` (RFC 4648 section 4, padding may be missing) stands for, or nothing.
std::optional<std::string> DecodeBase64(std::string_view base64);
/// Padded.
std::string EncodeBase64(std::string_view bytes);
/// Without padding and with `-` and `_` (RFC 4648 section 5).
std::string EncodeBase64Url(std::string_view bytes);

/// Computes a CRC as bytes pass: CRC-32C (RFC 3720 appendix B.4) or CRC-64/NVME (NVM
/// Command Set 1.0 section 5.2.1.3.4), by the CPU's instructions where it has them. Not
/// thread-safe.
class CrcStream {
 public:
  /// kCrc32c or kCrc64Nvme.
  explicit CrcStream(ContentChecksum::Kind kind);
  void Update(std::span<const std::byte> bytes);
  /// Of all bytes so far, as in ContentChecksum::value.
  std::string Hex() const;

 private:
  ContentChecksum::Kind kind_;
  uint64_t state_ = ~uint64_t{0};
};

}  // namespace weighhouse
