#include "cache-daemon/source/secret_digest.h"

#include <sys/random.h>

#include <array>
#include <cerrno>

#include "base/hmac.h"

namespace weighhouse::source {

Result<SecretDigest> NewSecretDigest() {
  std::array<char, 32> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return FailErrno(errno, "getrandom");
  }
  std::string key(bytes.begin(), bytes.end());
  return [key](std::string_view secret) { return HmacSha256(key, secret).Hex(); };
}

}  // namespace weighhouse::source
