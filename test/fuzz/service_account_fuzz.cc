// The JSON of a Google service account's key, as a secret has it. Where it says @KEY@, a key that
// signs stands: none that opens anything is among the seeds.

#include <algorithm>
#include <chrono>
#include <string>

#include <nlohmann/json.hpp>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/checksum.h"
#include "base/text.h"
#include "cache-daemon/source/gcs/service_account.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {
namespace {

/// Longer than what a message shows of anything in one piece.
constexpr size_t kTellingBytes = 48;

/// A fresh key in PEM, as it stands in JSON: small, to be fast.
const std::string& FreshKeyInJson() {
  static const std::string text = [] {
    EVP_PKEY* key = EVP_RSA_gen(1024);
    BIO* out = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PKCS8PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    char* pem = nullptr;
    long size = BIO_get_mem_data(out, &pem);
    std::string quoted = nlohmann::json(std::string(pem, static_cast<size_t>(size))).dump();
    BIO_free(out);
    EVP_PKEY_free(key);
    return quoted.substr(1, quoted.size() - 2);
  }();
  return text;
}

void CheckAccountFailure(const Error& error, Code code) {
  CHECK(error.code == code && error.message.size() < 500);
  CHECK(Printable(error.message, 500) == error.message);
}

void CheckAssertion(const ServiceAccount& account) {
  const auto now = std::chrono::system_clock::time_point(std::chrono::hours(500'000));
  const auto begun = std::chrono::steady_clock::now();
  Result<std::string> assertion = account.Assertion(now);
  // Whatever the key is, nobody waits for it. (The machine may be busy.)
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(8));
  if (!assertion) {
    CheckAccountFailure(assertion.error(), Code::kUnauthenticated);
    bool telling = account.private_key.size() >= kTellingBytes;
    CHECK(!telling || !assertion.error().message.contains(account.private_key));
    return;
  }
  // It is a form's value as it stands.
  CHECK(std::ranges::count(*assertion, '.') == 2);
  CHECK(PercentEncode(*assertion) == *assertion);
  CHECK(assertion->size() < 6 * 64 * 1024);
}

void CheckEndpoint(const ServiceAccount& account) {
  Result<Url> strict = account.TokenEndpoint(/*allow_plain_http=*/false);
  Result<Url> url = account.TokenEndpoint(/*allow_plain_http=*/true);
  if (strict) CHECK(url && (strict->scheme == "https" || strict->IsLoopback()));
  if (!strict) CheckAccountFailure(strict.error(), Code::kInvalidArgument);
  if (!url) return CheckAccountFailure(url.error(), Code::kInvalidArgument);
  CHECK(url->HostAndPort().size() < 300);
  CHECK(Printable(url->HostAndPort(), 300) == url->HostAndPort());
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(service_account, bytes) {
  std::string json(bytes);
  size_t key = json.find("@KEY@");
  if (key != std::string::npos) json.replace(key, 5, FreshKeyInJson());
  Result<ServiceAccount> account = ServiceAccount::Parse(json);
  if (!account) return CheckAccountFailure(account.error(), Code::kUnauthenticated);
  CHECK(json.size() <= 64 * 1024);
  CHECK(account->email.size() + account->private_key.size() <= json.size());
  CheckEndpoint(*account);
  CheckAssertion(*account);
}

}  // namespace weighhouse::source
