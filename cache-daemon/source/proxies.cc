#include "cache-daemon/source/proxies.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/node_environment.h"

namespace weighhouse::source {
namespace {

std::string FirstSet(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    std::string value = ProcessEnvironment(name);
    if (!value.empty()) return value;
  }
  return "";
}

/// The environment's usual `host:port` means http.
std::string WithScheme(const std::string& proxy) {
  return proxy.empty() || proxy.contains("://") ? proxy : "http://" + proxy;
}

/// Whether one entry of the exceptions means the server of `url`.
bool Means(std::string_view entry, const Url& url) {
  if (entry == "*") return true;
  std::optional<IpAddress> address = IpAddress::Parse(url.host);
  Result<AddressRange> range = AddressRange::Parse(entry);
  if (range) return address && range->Contains(*address);
  size_t colon = entry.rfind(':');
  if (colon != std::string_view::npos) {
    if (entry.substr(colon + 1) != url.port) return false;
    entry = entry.substr(0, colon);
    std::optional<IpAddress> literal = IpAddress::Parse(entry);
    if (literal) return address == literal;
  }
  std::string domain = ToLower(entry);
  bool only_below = domain.starts_with('.') || domain.starts_with("*.");
  domain.erase(0, domain.find_first_not_of("*."));
  if (domain.empty()) return false;
  return (!only_below && url.host == domain) || url.host.ends_with("." + domain);
}

}  // namespace

Proxies Proxies::OfEnvironment() {
  Proxies proxies{
      .http = WithScheme(FirstSet({"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"})),
      .https = WithScheme(FirstSet({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})),
      .except = SplitAndTrim(FirstSet({"no_proxy", "NO_PROXY"}), ',')};
  return proxies;
}

const std::string& Proxies::For(const Url& url) const {
  static const std::string none;
  const std::string& proxy = url.scheme == "https" ? https : http;
  if (proxy.empty() || url.IsLoopback()) return none;
  bool excepted =
      std::ranges::any_of(except, [&](const std::string& entry) { return Means(entry, url); });
  return excepted ? none : proxy;
}

std::string WithoutUser(std::string_view url) {
  auto is_in_scheme = [](unsigned char c) {  // RFC 3986 section 3.1
    return std::isalnum(c) != 0 || c == '+' || c == '-' || c == '.';
  };
  size_t scheme = url.find("://");
  // What looks like the end of one may stand in a password.
  bool has_scheme =
      scheme != std::string_view::npos && std::ranges::all_of(url.substr(0, scheme), is_in_scheme);
  size_t begin = has_scheme ? scheme + 3 : 0;
  size_t at = url.rfind('@');
  if (at == std::string_view::npos || at < begin) return std::string(url);
  return fmt::format("{}[secret]{}", url.substr(0, begin), url.substr(at));
}

Result<> CheckProxy(std::string_view url) {
  std::string bare(url);
  size_t scheme = url.find("://"), at = url.rfind('@');
  if (scheme != std::string_view::npos && at != std::string_view::npos && at > scheme) {
    bare = std::string(url.substr(0, scheme + 3)) + std::string(url.substr(at + 1));
  }
  Result<Url> parsed = Url::Parse(bare);
  bool usable = parsed && parsed->path == "/" && parsed->query.empty();
  if (usable) return {};
  return Fail(Code::kInvalidArgument,
              fmt::format("'{}' is no proxy: give http://host:port, with user:password@ before the "
                          "host where it wants them",
                          Printable(WithoutUser(url))));
}

}  // namespace weighhouse::source
