#include "cache-daemon/source/connection_policy.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {

bool IsEndpoint(const ConnectionRules& rules, const Url& url) {
  if (std::ranges::find(rules.endpoints, url.Origin()) != rules.endpoints.end()) return true;
  const std::optional<Url>& buckets = rules.bucket_endpoint;
  return buckets && url.scheme == buckets->scheme && url.port == buckets->port &&
         url.host.ends_with("." + buckets->host);
}

Result<> CheckScheme(const ConnectionRules& rules, const Url& url) {
  // What isn't at the loopback though it is called so is found when it is connected to.
  if (url.scheme == "https" || rules.allow_plain_http || url.IsLoopback()) return {};
  if (IsEndpoint(rules, url)) return {};
  return Fail(
      Code::kInvalidArgument,
      fmt::format("{} is plain http, which anybody on the way can change: use https (an admin can "
                  "allow plain http: sources.http.allowPlain)",
                  Printable(url.ToPublicString())));
}

Result<> CheckAddress(const ConnectionRules& rules, const Url& url, const IpAddress& address) {
  if (IsEndpoint(rules, url)) return {};
  AddressKind kind = KindOf(address);
  bool over_https = url.scheme == "https";
  if (kind == AddressKind::kPublic || (kind == AddressKind::kPrivate && over_https)) return {};
  bool allowed = std::ranges::any_of(
      rules.allow_addresses, [&](const AddressRange& range) { return range.Contains(address); });
  if (allowed) return {};
  return Fail(
      Code::kPermissionDenied,
      fmt::format("{} is at {}, {}{}: refused; an admin can allow it in sources.allowAddresses",
                  Printable(url.HostAndPort()), address.ToString(), Describe(kind),
                  kind == AddressKind::kPrivate ? " over plain http" : ""));
}

}  // namespace weighhouse::source
