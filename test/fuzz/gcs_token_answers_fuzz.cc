// What Google's metadata server, or a token endpoint, answers: the first byte chooses the status.

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/gcs/gcs_token_answers.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {

WEIGHHOUSE_FUZZ_TARGET(gcs_token_answers, bytes) {
  constexpr std::string_view kFrom = "the metadata server";
  const auto now = std::chrono::steady_clock::time_point(std::chrono::hours(1000));
  std::string_view json = bytes;
  unsigned char chosen = fuzz::TakeByte(json);
  int status = chosen == 't' ? 200 : 300 + chosen;
  HttpResponse response{.headers = {}, .body = std::string(json)};
  CHECK(response.headers.AddLine(fmt::format("HTTP/1.1 {} Text\r\n", status)));
  Result<GcsToken> token = ParseGcsToken(response, kFrom, now);
  if (!token) {
    const Error& error = token.error();
    CHECK(error.code == Code::kUnavailable || error.code == Code::kUnauthenticated);
    CHECK(error.rights_may_help == (error.code == Code::kUnauthenticated));
    // Nothing of the answer is in it.
    CHECK(error.message.starts_with(kFrom) && error.message.size() < 200);
    CHECK(Printable(error.message) == error.message);
    return;
  }
  CHECK(status == 200 && !token->of_node);
  CHECK(!token->value.empty() && token->value.size() <= json.size());
  // It becomes a header, whole.
  CHECK(std::ranges::all_of(token->value, [](unsigned char c) { return c > 0x20 && c < 0x7F; }));
  CHECK(now <= token->renew_at && token->renew_at <= token->good_until);
  CHECK(token->good_until <= now + std::chrono::hours(12));
}

}  // namespace weighhouse::source
