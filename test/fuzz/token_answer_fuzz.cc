// What a registry's token server answers.

#include <algorithm>
#include <chrono>

#include "cache-daemon/source/oci/authorizer.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {

WEIGHHOUSE_FUZZ_TARGET(token_answer, json) {
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
