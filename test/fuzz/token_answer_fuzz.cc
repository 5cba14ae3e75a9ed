// What a token is got by: the first byte chooses a registry's token answer, or a service account of
// Google's, as a secret has it.

#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "cache-daemon/source/gcs/service_account.h"
#include "cache-daemon/source/oci/authorizer.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {
namespace {

void CheckServiceAccount(std::string_view json) {
  Result<ServiceAccount> account = ServiceAccount::Parse(json);
  if (!account) {
    CHECK(account.error().message.size() < 2000);
    return;
  }
  CHECK(account->email.size() + account->private_key.size() <= json.size());
  // No key that opens anything is among the seeds: what can't sign is refused.
  Result<std::string> assertion = account->Assertion(std::chrono::system_clock::now());
  if (!assertion) CHECK(assertion.error().code == Code::kUnauthenticated);
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(token_answer, bytes) {
  std::string_view json = bytes;
  if (fuzz::TakeByte(json) == 'a') return CheckServiceAccount(json);
  auto now = std::chrono::steady_clock::time_point(std::chrono::hours(1000));
  Result<oci::Authorization> given = oci::ParseToken(json, now);
  if (!given) {
    CHECK(given.error().code == Code::kUnavailable || given.error().code == Code::kUnauthenticated);
    CHECK(given.error().message.size() < 2000);
    return;
  }
  CHECK(given->expires_at >= now && given->expires_at <= now + std::chrono::hours(24));
  CHECK(given->headers.size() == 1 && given->headers[0].starts_with("Authorization: Bearer "));
  // Nothing in it may begin a header of its own.
  std::string_view token = std::string_view(given->headers[0]).substr(22);
  CHECK(!token.empty());
  CHECK(std::ranges::all_of(token, [](unsigned char c) { return c > 0x20 && c < 0x7F; }));
}

}  // namespace weighhouse::source
