#include "cache-daemon/source/gcs/service_account.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/evp.h>

#include "base/checksum.h"
#include "base/text.h"
#include "cache-daemon/source/json_text.h"

namespace weighhouse::source {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostAccountBytes = 64 * 1024;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using PrivateKey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using DecoderContext = std::unique_ptr<OSSL_DECODER_CTX, Freed<OSSL_DECODER_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using MessageDigest = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;

std::unexpected<Error> BadAccount(std::string_view what) {
  return std::unexpected(
      Error{.code = Code::kUnauthenticated,
            .message = fmt::format("the service account in the secret can't be used: {}; give the "
                                   "JSON of a service account's key",
                                   what),
            .rights_may_help = true});
}

/// No prompt for a passphrase: an encrypted key fails.
int RefusePassphrase(char*, int, int, void*) { return -1; }

/// The RSA key in `pem`, or null. Keys of other kinds aren't even read: OpenSSL calculates with
/// their numbers, of any size, as it does so.
PrivateKey ReadRsaKey(std::string_view pem) {
  EVP_PKEY* read = nullptr;
  DecoderContext decoder(OSSL_DECODER_CTX_new_for_pkey(&read, "PEM", nullptr, "RSA",
                                                       EVP_PKEY_KEYPAIR, nullptr, nullptr));
  if (!decoder) return nullptr;
  OSSL_DECODER_CTX_set_pem_password_cb(decoder.get(), RefusePassphrase, nullptr);
  const auto* bytes = reinterpret_cast<const unsigned char*>(pem.data());
  size_t size = pem.size();
  bool is_read = OSSL_DECODER_from_data(decoder.get(), &bytes, &size) == 1;
  PrivateKey key(read);
  return is_read ? std::move(key) : nullptr;
}

/// Of a private key in PEM: one of 4096 bits has 3.3 KiB.
constexpr size_t kMostKeyBytes = 4096;

/// Whether it signs in well under a second. What it costs grows with the third power of its
/// numbers: 11 KiB of PEM can keep a thread for a quarter of a minute. Further primes (RFC 8017
/// section 3.2) OpenSSL bounds by nothing.
bool IsOfUsualSize(const EVP_PKEY* key) {
  constexpr int kMostBits = 4096;  ///< Google's own have 2048
  constexpr std::array kNumbers = {OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
                                   OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
                                   OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
                                   OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1};
  auto bits_of = [&](const char* name) {
    BIGNUM* read = nullptr;
    bool is_there = EVP_PKEY_get_bn_param(key, name, &read) == 1;
    Number number(read);
    return is_there ? BN_num_bits(number.get()) : 0;
  };
  return bits_of(OSSL_PKEY_PARAM_RSA_FACTOR3) == 0 &&
         std::ranges::all_of(kNumbers,
                             [&](const char* name) { return bits_of(name) <= kMostBits; });
}

Result<std::string> SignRs256(const std::string& private_key, std::string_view text) {
  constexpr const char* kUnusual = "its private_key is of over 4096 bits, or has over two primes";
  if (private_key.size() > kMostKeyBytes) return BadAccount(kUnusual);
  PrivateKey key = ReadRsaKey(private_key);
  if (!key) return BadAccount("its private_key is no RSA key in PEM");
  if (!IsOfUsualSize(key.get())) return BadAccount(kUnusual);
  MessageDigest context(EVP_MD_CTX_new());
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  bool begun =
      context && EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1;
  if (!begun || EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) != 1) {
    return BadAccount("its private_key doesn't sign");
  }
  std::vector<unsigned char> signature(size);
  if (EVP_DigestSign(context.get(), signature.data(), &size, bytes, text.size()) != 1) {
    return BadAccount("its private_key doesn't sign");
  }
  return std::string(signature.begin(), signature.begin() + static_cast<std::ptrdiff_t>(size));
}

}  // namespace

Result<ServiceAccount> ServiceAccount::Parse(std::string_view json) {
  if (json.size() > kMostAccountBytes) return BadAccount("it is of over 64 KiB");
  std::optional<Json> object = ParseObject(json);
  if (!object) return BadAccount("it is no JSON object");
  std::string type = TextAt(*object, "type");
  if (type != "service_account") {
    return BadAccount(fmt::format("its type is '{}'", Printable(type, 40)));
  }
  ServiceAccount account{.email = TextAt(*object, "client_email"),
                         .private_key = TextAt(*object, "private_key"),
                         .key_id = TextAt(*object, "private_key_id"),
                         .token_uri = TextAt(*object, "token_uri")};
  if (account.token_uri.empty()) account.token_uri = "https://oauth2.googleapis.com/token";
  if (account.email.empty() || account.private_key.empty()) {
    return BadAccount("it has no client_email or no private_key");
  }
  return account;
}

Result<std::string> ServiceAccount::Assertion(std::chrono::system_clock::time_point now) const {
  int64_t issued = std::chrono::system_clock::to_time_t(now);
  Json header = {{"alg", "RS256"}, {"typ", "JWT"}};
  if (!key_id.empty()) header["kid"] = key_id;
  Json claims = {{"iss", email},
                 {"scope", "https://www.googleapis.com/auth/devstorage.read_only"},
                 {"aud", token_uri},
                 {"iat", issued},
                 {"exp", issued + 3600}};
  auto encoded = [](const Json& part) {
    return EncodeBase64Url(part.dump(-1, ' ', false, Json::error_handler_t::replace));
  };
  std::string text = encoded(header) + "." + encoded(claims);
  std::string signature = TRY(SignRs256(private_key, text));
  return text + "." + EncodeBase64Url(signature);
}

Result<Url> ServiceAccount::TokenEndpoint(bool allow_plain_http) const {
  Result<Url> url = Url::Parse(token_uri);
  if (url && (url->scheme == "https" || url->IsLoopback() || allow_plain_http)) return url;
  return Fail(Code::kInvalidArgument,
              fmt::format("the service account's token_uri '{}' is not usable: it must be https",
                          ShownUrl(token_uri)));
}

}  // namespace weighhouse::source
