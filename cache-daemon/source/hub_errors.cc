#include "cache-daemon/source/hub_errors.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source {
namespace {

std::string Model(const HubQuestion& question) { return "hf://" + question.repository; }

/// Another account, or none, may be told otherwise.
Error WantsRights(Code code, std::string message) {
  return {.code = code, .message = std::move(message), .rights_may_help = true};
}

Error Gated(const HubQuestion& question) {
  return WantsRights(
      Code::kPermissionDenied,
      fmt::format(
          "{} is gated: accept the licence at {}, then use a token of that account (HF_TOKEN)",
          Model(question), question.web_page));
}

/// The Hub doesn't tell strangers which repositories exist: missing, private and gated look alike.
Error NotVisible(const HubQuestion& question) {
  if (!question.with_token) {
    return WantsRights(
        Code::kUnauthenticated,
        fmt::format("{} doesn't exist, or is private or gated: check the name, or give a token "
                    "that may read it (HF_TOKEN)",
                    Model(question)));
  }
  return WantsRights(
      Code::kNotFound,
      fmt::format("{} doesn't exist, or the token's account may not see it: check the name and the "
                  "account at {}",
                  Model(question), question.web_page));
}

/// What the headers that are the Hub's own say.
std::optional<Error> NamedFailure(const HttpResponse& response, const HubQuestion& question) {
  std::string_view code = response.headers.Find("x-error-code");
  if (code == "RevisionNotFound") {
    return Error{Code::kNotFound,
                 fmt::format("{} has no revision '{}': name a branch, tag or commit that {} shows",
                             Model(question), Printable(question.revision), question.web_page)};
  }
  if (code == "EntryNotFound") {
    return Error{Code::kNotFound, fmt::format("{}@{} has no file '{}'", Model(question),
                                              question.revision, Printable(question.path))};
  }
  if (code == "GatedRepo") return Gated(question);
  if (response.headers.Find("x-error-message") == "Access to this resource is disabled.") {
    return Error{
        Code::kPermissionDenied,
        fmt::format("{} is disabled by the Hub, for everybody: {} may say why; use another "
                    "model",
                    Model(question), question.web_page)};
  }
  if (code == "RepoNotFound") return NotVisible(question);
  return std::nullopt;
}

/// A word, as all of the Hub's codes are: no place for a server to repeat a token.
bool IsErrorName(std::string_view code) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !code.empty() && code.size() <= 60 && std::ranges::all_of(code, letter);
}

Error StatusFailure(const HttpResponse& response, const HubQuestion& question,
                    const std::string& said) {
  constexpr std::string_view kBadToken = "Invalid credentials in Authorization header";
  int status = response.status();
  bool bad_token =
      said.contains(kBadToken) || response.headers.Find("x-error-message").contains(kBadToken);
  if (status == 401 && bad_token) {
    return WantsRights(
        Code::kUnauthenticated,
        fmt::format("{}: the Hub doesn't accept the token (mistyped, expired or revoked?): give a "
                    "new one (HF_TOKEN)",
                    Model(question)));
  }
  if (status == 401) return NotVisible(question);
  std::string tail = said.empty() ? "" : fmt::format("; it says: {}", said);
  std::string_view named = response.headers.Find("x-error-code");
  if (IsErrorName(named)) tail = fmt::format(", {}{}", named, tail);
  if (status == 403) {
    return WantsRights(
        Code::kPermissionDenied,
        fmt::format("{}: the token may not read this: give it read access (fine-grained tokens "
                    "name their repositories){}",
                    Model(question), tail));
  }
  if (status == 404 || status == 410) {
    return {Code::kNotFound,
            fmt::format("{}: the Hub doesn't have it (HTTP {}){}", Model(question), status, tail)};
  }
  bool refused = status >= 400 && !IsPassing(status);
  std::string_view what = refused         ? "refuses"
                          : status == 429 ? "asks for fewer requests"
                                          : "has trouble";
  return {refused ? Code::kFailedPrecondition : Code::kUnavailable,
          fmt::format("{}: the Hub {} (HTTP {}){}", Model(question), what, status, tail)};
}

}  // namespace

Error HubFailure(const HttpResponse& response, const HubQuestion& question, const std::string& said,
                 std::chrono::system_clock::time_point now) {
  if (std::optional<Error> named = NamedFailure(response, question)) return std::move(*named);
  Error error = StatusFailure(response, question, said);
  if (error.code == Code::kUnavailable) error.retry_after = RetryDelay(response.headers, now);
  return error;
}

}  // namespace weighhouse::source
