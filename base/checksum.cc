#include "base/checksum.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/digest.h"

namespace weighhouse {
namespace {

// Reflected polynomials.
constexpr uint32_t kCrc32cPolynomial = 0x82F63B78;
constexpr uint64_t kCrc64NvmePolynomial = 0x9A6C9329AC4BC9B5;

/// For eight bytes at a time: table[n][b] is what byte b does to a CRC n bytes later.
template <class Word>
using SliceTables = std::array<std::array<Word, 256>, 8>;

template <class Word>
SliceTables<Word> MakeTables(Word polynomial) {
  SliceTables<Word> tables{};
  for (size_t byte = 0; byte < 256; ++byte) {
    Word word = static_cast<Word>(byte);
    for (int bit = 0; bit < 8; ++bit) word = (word >> 1) ^ ((word & 1) != 0 ? polynomial : 0);
    tables[0][byte] = word;
  }
  for (size_t slice = 1; slice < 8; ++slice) {
    for (size_t byte = 0; byte < 256; ++byte) {
      Word before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

/// Both CRCs are reflected: the next byte meets the lowest of the state, on every machine.
template <class Word>
Word UpdateByTable(const SliceTables<Word>& tables, Word crc, std::span<const std::byte> bytes) {
  while (bytes.size() >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
    word ^= crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= tables[7 - i][(word >> (8 * i)) & 0xFF];
    bytes = bytes.subspan(8);
  }
  for (std::byte byte : bytes) {
    crc = (crc >> 8) ^ tables[0][(crc ^ static_cast<Word>(byte)) & 0xFF];
  }
  return crc;
}

uint32_t Crc32cByTable(uint32_t crc, std::span<const std::byte> bytes) {
  static const SliceTables<uint32_t> tables = MakeTables(kCrc32cPolynomial);
  return UpdateByTable(tables, crc, bytes);
}

#if defined(__x86_64__)
/// SSE 4.2 has an instruction for this very polynomial.
__attribute__((target("sse4.2"))) uint32_t Crc32cByCpu(uint32_t crc,
                                                       std::span<const std::byte> bytes) {
  uint64_t wide = crc;
  while (bytes.size() >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    wide = __builtin_ia32_crc32di(wide, word);
    bytes = bytes.subspan(8);
  }
  auto narrow = static_cast<uint32_t>(wide);
  for (std::byte byte : bytes) {
    narrow = __builtin_ia32_crc32qi(narrow, static_cast<unsigned char>(byte));
  }
  return narrow;
}
#endif

uint32_t Crc32c(uint32_t crc, std::span<const std::byte> bytes) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return Crc32cByCpu(crc, bytes);
#endif
  return Crc32cByTable(crc, bytes);
}

uint64_t Crc64ByTable(uint64_t crc, std::span<const std::byte> bytes) {
  static const SliceTables<uint64_t> tables = MakeTables(kCrc64NvmePolynomial);
  return UpdateByTable(tables, crc, bytes);
}

#if defined(__x86_64__)
/// x^power modulo the polynomial, reflected: the highest bit is x^0.
uint64_t PowerOfX(unsigned power) {
  uint64_t value = uint64_t{1} << 63;
  for (; power > 0; --power) {
    value = (value >> 1) ^ ((value & 1) != 0 ? kCrc64NvmePolynomial : 0);
  }
  return value;
}

/// What moves 16 bytes `bits` bits on: the first eight are 64 bits further ahead than the others.
/// One less each, because a product of reflected numbers comes out one bit too low.
__m128i KeysFor(unsigned bits) {
  return _mm_set_epi64x(static_cast<long long>(PowerOfX(bits - 1)),
                        static_cast<long long>(PowerOfX(bits + 63)));
}

__attribute__((target("pclmul"))) __m128i Fold(__m128i block, __m128i keys, __m128i next) {
  __m128i first = _mm_clmulepi64_si128(block, keys, 0x00);
  __m128i second = _mm_clmulepi64_si128(block, keys, 0x11);
  return _mm_xor_si128(_mm_xor_si128(first, second), next);
}

__m128i Load(const std::byte* bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}

/// Carry-less multiplication folds 64 bytes at a time into four blocks, these into one, whose
/// remainder the table gives (V. Gopal et al., "Fast CRC Computation for Generic Polynomials Using
/// PCLMULQDQ Instruction"). At least 64 bytes.
__attribute__((target("pclmul"))) uint64_t Crc64ByFolding(uint64_t crc,
                                                          std::span<const std::byte> bytes) {
  static const __m128i by_64 = KeysFor(512), by_16 = KeysFor(128);
  const std::byte* next = bytes.data();
  __m128i blocks[4] = {Load(next), Load(next + 16), Load(next + 32), Load(next + 48)};
  blocks[0] = _mm_xor_si128(blocks[0], _mm_set_epi64x(0, static_cast<long long>(crc)));
  size_t left = bytes.size() - 64;
  for (next += 64; left >= 64; next += 64, left -= 64) {
    for (int i = 0; i < 4; ++i) blocks[i] = Fold(blocks[i], by_64, Load(next + 16 * i));
  }
  __m128i block = blocks[0];
  for (int i = 1; i < 4; ++i) block = Fold(block, by_16, blocks[i]);
  for (; left >= 16; next += 16, left -= 16) block = Fold(block, by_16, Load(next));
  std::array<std::byte, 16> rest{};
  std::memcpy(rest.data(), &block, rest.size());
  return Crc64ByTable(Crc64ByTable(0, rest), {next, left});
}
#endif

uint64_t Crc64Nvme(uint64_t crc, std::span<const std::byte> bytes) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("pclmul") != 0;
  if (has_instruction && bytes.size() >= 64) return Crc64ByFolding(crc, bytes);
#endif
  return Crc64ByTable(crc, bytes);
}

size_t SizeOf(ContentChecksum::Kind kind) {
  switch (kind) {
    case ContentChecksum::Kind::kSha256:
      return Digest::kSize;
    case ContentChecksum::Kind::kCrc32c:
      return 4;
    case ContentChecksum::Kind::kCrc64Nvme:
      return 8;
  }
  return 0;
}

constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::optional<ContentChecksum> ContentChecksum::FromBase64(Kind kind, std::string_view base64) {
  if (base64.size() % 4 != 0) return std::nullopt;
  std::optional<std::string> bytes = DecodeBase64(base64);
  if (!bytes || bytes->size() != SizeOf(kind)) return std::nullopt;
  const auto* octets = reinterpret_cast<const uint8_t*>(bytes->data());
  return ContentChecksum{.kind = kind, .value = HexEncode({octets, bytes->size()})};
}

std::string_view ChecksumKindName(ContentChecksum::Kind kind) {
  switch (kind) {
    case ContentChecksum::Kind::kSha256:
      return "sha256";
    case ContentChecksum::Kind::kCrc32c:
      return "crc32c";
    case ContentChecksum::Kind::kCrc64Nvme:
      return "crc64nvme";
  }
  return "checksum";
}

std::optional<std::string> DecodeBase64(std::string_view base64) {
  while (base64.ends_with('=')) base64.remove_suffix(1);
  if (base64.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  uint32_t gathered = 0;
  int bits = 0;
  for (char c : base64) {
    size_t value = kBase64Digits.find(c);
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
  std::string text((bytes.size() + 2) / 3 * 4, '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),  // and a NUL, which a string has
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  return text;
}

std::string EncodeBase64Url(std::string_view bytes) {
  std::string text = EncodeBase64(bytes);
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  while (text.ends_with('=')) text.pop_back();
  return text;
}

CrcStream::CrcStream(ContentChecksum::Kind kind) : kind_(kind) {
  CHECK(kind != ContentChecksum::Kind::kSha256);
}

void CrcStream::Update(std::span<const std::byte> bytes) {
  bool narrow = kind_ == ContentChecksum::Kind::kCrc32c;
  state_ = narrow ? Crc32c(static_cast<uint32_t>(state_), bytes) : Crc64Nvme(state_, bytes);
}

std::string CrcStream::Hex() const {
  if (kind_ == ContentChecksum::Kind::kCrc64Nvme) return fmt::format("{:016x}", ~state_);
  return fmt::format("{:08x}", ~static_cast<uint32_t>(state_));
}

}  // namespace weighhouse
