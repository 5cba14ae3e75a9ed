#include "cache-daemon/source/oci/registry_errors.h"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cache-daemon/source/json_text.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source::oci {
namespace {

constexpr const char* kSecretAdvice =
    "give a secret with `.dockerconfigjson` (or `username` and `password`)";

/// Registries don't tell strangers which repositories exist: missing and private look alike.
Error Refused(const RegistryQuestion& question, int status, const std::string& tail) {
  std::string message =
      question.with_login
          ? fmt::format(
                "{}: {} doesn't let this login read it (HTTP {}): check the name and the "
                "password, and that the login may pull from it{}",
                question.model, question.registry, status, tail)
          : fmt::format("{} doesn't exist, or needs a login (HTTP {}): check the name, or {}{}",
                        question.model, status, kSecretAdvice, tail);
  bool known = question.with_login && status == 403;
  Code code = known ? Code::kPermissionDenied : Code::kUnauthenticated;
  return {.code = code, .message = std::move(message), .rights_may_help = true};
}

}  // namespace

Error RegistryFailure(const HttpResponse& response, const RegistryQuestion& question,
                      const std::string& said, std::chrono::system_clock::time_point now) {
  int status = response.status();
  std::string tail = said.empty() ? "" : fmt::format("; it says: {}", said);
  if (status == 401 || status == 403) return Refused(question, status, tail);
  if (status == 404 || status == 410) {
    return {
        .code = Code::kNotFound,
        .message = fmt::format("{}: {} has no {} there that it would show to this caller: check "
                               "the name, and the login if it is private{}",
                               question.model, question.registry, question.what, tail),
        .rights_may_help = true};
  }
  bool refused = status >= 400 && !IsPassing(status);
  std::string_view how = refused         ? "refuses"
                         : status == 429 ? "asks for fewer requests (a login may be allowed more)"
                                         : "has trouble";
  Error error{
      refused ? Code::kFailedPrecondition : Code::kUnavailable,
      fmt::format("{}: {} {} (HTTP {}){}", question.model, question.registry, how, status, tail)};
  if (!refused) error.retry_after = RetryDelay(response.headers, now);
  return error;
}

std::string RegistryErrorText(std::string_view json) {
  std::optional<nlohmann::json> body = ParseObject(json);
  const nlohmann::json* errors = body ? ValueAt(*body, "errors") : nullptr;
  if (errors == nullptr || !errors->is_array() || errors->empty()) return "";
  std::string code = TextAt(errors->front(), "code");
  std::string message = TextAt(errors->front(), "message");
  return message.empty() ? code : fmt::format("{}: {}", code, message);
}

}  // namespace weighhouse::source::oci
