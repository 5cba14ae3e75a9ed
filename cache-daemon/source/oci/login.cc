#include "cache-daemon/source/oci/login.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/checksum.h"
#include "base/digest.h"
#include "base/text.h"
#include "cache-daemon/source/file_filter.h"
#include "cache-daemon/source/json_text.h"

namespace weighhouse::source::oci {
namespace {

using Json = nlohmann::json;

constexpr const char* kDockerConfig = ".dockerconfigjson";

std::unexpected<Error> BadLogin(std::string message) {
  return std::unexpected(Error{
      .code = Code::kUnauthenticated, .message = std::move(message), .rights_may_help = true});
}

/// What stands in front of an entry: which registry it is for, and which of its repositories.
struct EntryKey {
  std::string host;  ///< may have `*` in its parts
  std::string path;  ///< without slashes at its ends
};

EntryKey ParseKey(std::string_view key) {
  for (std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  }
  size_t slash = key.find('/');
  EntryKey parsed{.host = CredentialHost(ToLower(key.substr(0, slash))), .path = ""};
  if (slash == std::string_view::npos) return parsed;
  std::string_view path = key.substr(slash + 1);
  // Of the old and the present protocol's URL.
  for (std::string_view version : {"v1/", "v2/"}) {
    if (path == version.substr(0, 2)) path = "";
    if (path.starts_with(version)) path.remove_prefix(version.size());
  }
  while (path.ends_with('/')) path.remove_suffix(1);
  parsed.path = path;
  return parsed;
}

/// Part by part: `*` doesn't stand for a dot.
bool MatchesHost(std::string_view pattern, std::string_view host) {
  if (!pattern.contains('*')) return pattern == host;
  // More would only take the matcher long.
  if (std::ranges::count(pattern, '*') > 4) return false;
  while (true) {
    size_t pattern_dot = pattern.find('.'), host_dot = host.find('.');
    std::string part(host.substr(0, host_dot));
    if (!MatchesPattern(std::string(pattern.substr(0, pattern_dot)), part)) return false;
    bool pattern_ends = pattern_dot == std::string_view::npos;
    bool host_ends = host_dot == std::string_view::npos;
    if (pattern_ends || host_ends) return pattern_ends && host_ends;
    pattern.remove_prefix(pattern_dot + 1);
    host.remove_prefix(host_dot + 1);
  }
}

bool IsFor(const EntryKey& key, const ImageName& image) {
  if (!MatchesHost(key.host, CredentialHost(image.registry))) return false;
  if (key.path.empty() || image.repository == key.path) return true;
  return image.repository.starts_with(key.path + "/");
}

/// The longest path, then a name without `*`.
std::tuple<size_t, bool> RankOf(const EntryKey& key) {
  return {key.path.size(), !key.host.contains('*')};
}

Result<Login> ReadEntry(const std::string& key, const Json& entry) {
  Login login{.user = TextAt(entry, "username"),
              .password = TextAt(entry, "password"),
              .identity_token = TextAt(entry, "identitytoken"),
              .registry_token = TextAt(entry, "registrytoken")};
  std::string both = TextAt(entry, "auth");
  if (!both.empty()) {
    std::optional<std::string> decoded = DecodeBase64(Trim(both));
    size_t colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos) {
      return BadLogin(
          fmt::format("{}: `auth` of '{}' is not the base64 form of user:password: make the secret "
                      "with `kubectl create secret docker-registry`",
                      kDockerConfig, Printable(key)));
    }
    login.user = decoded->substr(0, colon);
    login.password = decoded->substr(colon + 1);
  }
  if (login.empty()) {
    return BadLogin(
        fmt::format("{} has neither `auth` nor a token for '{}' (credential helpers can't be run "
                    "here): make the secret with `kubectl create secret docker-registry`",
                    kDockerConfig, Printable(key)));
  }
  return login;
}

Result<Login> FromDockerConfig(const ImageName& image, const std::string& text) {
  std::optional<Json> config = ParseObject(text);
  const Json* entries = config ? ValueAt(*config, "auths") : nullptr;
  if (entries == nullptr || !entries->is_object()) {
    return BadLogin(
        fmt::format("the secret's {} is no JSON object with `auths`: make the secret with `kubectl "
                    "create secret docker-registry`",
                    kDockerConfig));
  }
  const Json* best = nullptr;
  std::string best_key;
  for (const auto& [text_of_key, entry] : entries->items()) {
    EntryKey key = ParseKey(text_of_key);
    if (!IsFor(key, image)) continue;
    if (best != nullptr && RankOf(key) <= RankOf(ParseKey(best_key))) continue;
    best = &entry;
    best_key = text_of_key;
  }
  if (best == nullptr) return Login{};
  return ReadEntry(best_key, *best);
}

}  // namespace

std::string Login::Fingerprint() const {
  std::string text;
  for (const std::string& part : {user, password, identity_token, registry_token}) {
    text += fmt::format("{}:{}", part.size(), part);
  }
  return Digest::Of(text).Hex();
}

Result<Login> LoginFor(const ImageName& image, const Credentials& credentials) {
  std::string config = credentials.First({kDockerConfig});
  if (!config.empty()) {
    Login login = TRY(FromDockerConfig(image, config));
    if (!login.empty()) return login;
  }
  return Login{.user = credentials.First({"username"}),
               .password = credentials.First({"password"}),
               .identity_token = "",
               .registry_token = ""};
}

}  // namespace weighhouse::source::oci
