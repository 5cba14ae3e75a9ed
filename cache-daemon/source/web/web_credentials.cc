#include "cache-daemon/source/web/web_credentials.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/checksum.h"

namespace weighhouse::source {
namespace {

std::unexpected<Error> BadSecret(std::string message) {
  return std::unexpected(Error{
      .code = Code::kUnauthenticated, .message = std::move(message), .rights_may_help = true});
}

}  // namespace

Result<std::vector<std::string>> WebAuthorization(const Credentials& credentials) {
  std::string token = credentials.First({"HTTP_TOKEN", "token"});
  std::string user = credentials.First({"HTTP_USERNAME", "username"});
  std::string password = credentials.First({"HTTP_PASSWORD", "password"});
  if (token.empty() && user.empty() && password.empty()) return std::vector<std::string>{};
  if (!token.empty() && !(user.empty() && password.empty())) {
    return BadSecret(
        "the secret holds a token and a user with a password: a server takes one of them, give "
        "HTTP_TOKEN, or HTTP_USERNAME and HTTP_PASSWORD");
  }
  if (token.empty() && (user.empty() || password.empty())) {
    return BadSecret(
        "the secret holds half of a user and password: give HTTP_USERNAME and "
        "HTTP_PASSWORD");
  }
  auto visible = [](char c) { return c > 0x20 && c < 0x7F; };
  if (!std::ranges::all_of(token, visible)) {
    return BadSecret(
        "the token in HTTP_TOKEN has characters that no token has: check the secret "
        "for line breaks and quotes");
  }
  auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (user.contains(':') || std::ranges::any_of(user + password, control)) {
    return BadSecret(
        "HTTP_USERNAME must not have a ':', and neither it nor HTTP_PASSWORD control "
        "characters: check the secret");
  }
  std::string value =
      token.empty() ? "Basic " + EncodeBase64(user + ":" + password) : "Bearer " + token;
  return std::vector<std::string>{"Authorization: " + value};
}

}  // namespace weighhouse::source
