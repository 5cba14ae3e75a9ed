#include "base/hmac.h"

#include <array>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/error.h"

namespace weighhouse {

Digest HmacSha256(std::string_view key, std::string_view text) {
  std::array<uint8_t, Digest::kSize> bytes{};
  unsigned length = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data, text.size(),
             bytes.data(), &length) != nullptr);
  CHECK(length == bytes.size());
  return Digest(bytes);
}

bool EqualInConstantTime(std::string_view one, std::string_view other) {
  return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace weighhouse
