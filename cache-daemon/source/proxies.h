#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache-daemon/source/ip_address.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {

/// Through which proxies servers are asked. libcurl's own reading of the environment is off: what
/// decides is here.
struct Proxies {
  std::string http;   ///< for http:// URLs: `http://[user:password@]host:port`; empty: none
  std::string https;  ///< for https:// URLs, by CONNECT
  /// Asked without: a host, `.domain` or `*.domain` (what is below it), `domain` (it and what is
  /// below it), an address or a range of them, each with `:port` or not; `*` for all.
  std::vector<std::string> except;

  /// What the process environment says: https_proxy, http_proxy, all_proxy and no_proxy, in lower
  /// or upper case, the lower case first.
  static Proxies OfEnvironment();

  /// The proxy for `url`; "" for none. Loopback names and addresses are never asked through one.
  const std::string& For(const Url& url) const;
  bool operator==(const Proxies&) const = default;
};

/// kInvalidArgument for what is no http:// or https:// URL of a proxy; the message has no
/// credentials.
Result<> CheckProxy(std::string_view url);

/// `url` with what stands before an `@` in it replaced.
std::string WithoutUser(std::string_view url);

}  // namespace weighhouse::source
