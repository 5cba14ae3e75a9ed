#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/source/ip_address.h"
#include "cache-daemon/source/proxies.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {

/// What an admin says of whom sources may be asked through, and where.
struct ConnectionRules {
  /// Beside public addresses, and private ones over https: these may be connected to.
  std::vector<AddressRange> allow_addresses;
  /// http:// elsewhere than at the loopback.
  bool allow_plain_http = false;
  /// Url::Origin of what the configuration names itself: neither their scheme nor their address is
  /// judged.
  std::vector<std::string> endpoints;
  /// Such an endpoint too, each of whose buckets has a host of its own below its host.
  std::optional<Url> bucket_endpoint;
  Proxies proxies;
};

/// The one rule for every connection of every source, whoever named its URL: a user, a listing, or
/// a redirect. Thread-safe.
///
/// Addresses are judged as they are connected to (ConnectionGuard), not as a name was resolved
/// before: a name that means another address a moment later gains nothing. Public addresses are
/// allowed. Private ones are over https, because there only a server that proves to have the URL's
/// name gets a request; over http they must be in `allow_addresses`. All others (AddressKind) must
/// be in it too.
class ConnectionPolicy {
 public:
  /// No address is allowed but public ones, and private ones over https.
  ConnectionPolicy() : ConnectionPolicy(ConnectionRules{}) {}
  explicit ConnectionPolicy(ConnectionRules rules) { Set(std::move(rules)); }

  /// From now on, for requests that begin.
  void Set(ConnectionRules rules) EXCLUDES(mutex_) {
    auto made = std::make_shared<const ConnectionRules>(std::move(rules));
    MutexLock lock(mutex_);
    rules_ = std::move(made);
  }
  std::shared_ptr<const ConnectionRules> Rules() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return rules_;
  }

 private:
  mutable Mutex mutex_;
  /// Shared with requests under way. Never null.
  std::shared_ptr<const ConnectionRules> rules_ GUARDED_BY(mutex_);
};

/// Whether the rules let a source be asked for `url`, as far as its text says: kInvalidArgument for
/// plain http that isn't allowed.
Result<> CheckScheme(const ConnectionRules& rules, const Url& url);

/// Whether a server for `url` may be at `address`: else kPermissionDenied, which names both and the
/// way out.
Result<> CheckAddress(const ConnectionRules& rules, const Url& url, const IpAddress& address);

/// True if the configuration itself names the server of `url`.
bool IsEndpoint(const ConnectionRules& rules, const Url& url);

}  // namespace weighhouse::source
