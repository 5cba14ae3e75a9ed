#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cache-daemon/source/oci/login.h"

namespace weighhouse::source::oci {
namespace {

constexpr std::string_view kBase64Alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::optional<std::string> DecodeBase64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  uint32_t gathered = 0;
  int bits = 0;
  for (char c : text) {
    size_t value = kBase64Alphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    gathered = (gathered << 6 | static_cast<uint32_t>(value)) & 0xFFFF;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(gathered >> bits & 0xFF);
  }
  return bytes;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    std::string_view group = bytes.substr(i, 3);
    uint32_t value = 0;
    for (size_t k = 0; k < 3; ++k) {
      value = value << 8 | (k < group.size() ? static_cast<unsigned char>(group[k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += k <= group.size() ? kBase64Alphabet[value >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

}  // namespace weighhouse::source::oci
