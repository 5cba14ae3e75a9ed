#include "cache-daemon/source/gcs/service_account.h"

#include <memory>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/checksum.h"
#include "base/text.h"
#include "cache-daemon/source/json_text.h"

namespace weighhouse::source {
namespace {

using Json = nlohmann::json;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
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

Result<std::string> SignRs256(const std::string& private_key, std::string_view text) {
  Bio pem(BIO_new_mem_buf(private_key.data(), static_cast<int>(private_key.size())));
  PrivateKey key(pem ? PEM_read_bio_PrivateKey(pem.get(), nullptr, RefusePassphrase, nullptr)
                     : nullptr);
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) {
    return BadAccount("its private_key is no RSA key in PEM");
  }
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
  Json object = IsTooDeep(json) ? Json() : Json::parse(json, nullptr, false);
  if (!object.is_object()) return BadAccount("it is no JSON object");
  std::string type = TextAt(object, "type");
  if (type != "service_account") {
    return BadAccount(fmt::format("its type is '{}'", Printable(type, 40)));
  }
  ServiceAccount account{.email = TextAt(object, "client_email"),
                         .private_key = TextAt(object, "private_key"),
                         .key_id = TextAt(object, "private_key_id"),
                         .token_uri = TextAt(object, "token_uri")};
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

}  // namespace weighhouse::source
