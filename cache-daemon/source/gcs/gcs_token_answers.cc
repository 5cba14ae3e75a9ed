#include "cache-daemon/source/gcs/gcs_token_answers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cache-daemon/source/json_text.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr size_t kMostGcsTokenBytes = 16 * 1024;  ///< Google's own have at most 2048
constexpr Bytes kUnsaidLifeSeconds = 600;
constexpr Bytes kLongestLifeSeconds = 12 * 3600;

bool IsGcsToken(std::string_view value) {
  return !value.empty() && value.size() <= kMostGcsTokenBytes &&
         std::ranges::all_of(value, [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace

Result<GcsToken> ParseGcsToken(const HttpResponse& response, std::string_view from,
                               std::chrono::steady_clock::time_point now) {
  // A redirect is somebody else's answer, and no refusal.
  bool busy = IsPassing(response.status()) || response.status() < 400;
  if (response.status() != 200) {
    return std::unexpected(
        Error{.code = busy ? Code::kUnavailable : Code::kUnauthenticated,
              .message = fmt::format("{} gives no access token (HTTP {}): is the account there and "
                                     "its key valid?",
                                     from, response.status()),
              .rights_may_help = !busy});
  }
  std::optional<nlohmann::json> object;
  if (response.body.size() <= kGcsTokenAnswerLimit) object = ParseObject(response.body);
  std::string value = object ? TextAt(*object, "access_token") : "";
  if (!IsGcsToken(value)) {
    return Fail(Code::kUnavailable, fmt::format("{} answers without an access token", from));
  }
  Bytes named = SizeAt(*object, "expires_in").value_or(kUnsaidLifeSeconds);
  seconds left(std::min(named, kLongestLifeSeconds));
  // A metadata server hands the same token out until five minutes before its end.
  return GcsToken{.value = std::move(value),
                  .good_until = now + left - std::min<seconds>(seconds(60), left / 10),
                  .renew_at = now + left - std::min<seconds>(minutes(4), left / 4)};
}

}  // namespace weighhouse::source
