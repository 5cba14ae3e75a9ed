// Addresses and ranges, as the configuration, NO_PROXY and the hosts of URLs have them.

#include "cache-daemon/source/connection_policy.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {

WEIGHHOUSE_FUZZ_TARGET(addresses, bytes) {
  std::string_view rest = bytes;
  std::string_view text = fuzz::TakeUntil(rest, '\n');
  std::optional<IpAddress> address = IpAddress::Parse(text);
  if (address) {
    std::optional<IpAddress> again = IpAddress::Parse(address->ToString());
    CHECK(again == address);
    Result<AddressRange> alone = AddressRange::Parse(address->ToString());
    CHECK(alone && alone->Contains(*address));
    CHECK(!Describe(KindOf(*address)).empty());
  }
  Result<AddressRange> range = AddressRange::Parse(fuzz::TakeUntil(rest, '\n'));
  bool allowed_by_default = false;
  Url url{.scheme = "http", .host = "host", .port = "80", .path = "/", .query = ""};
  if (address) allowed_by_default = CheckAddress({}, url, *address).has_value();
  if (range && address) {
    ConnectionRules rules{.allow_addresses = {*range}};
    CHECK(CheckAddress(rules, url, *address).has_value() ==
          (allowed_by_default || range->Contains(*address)));
  }
  Proxies proxies{.http = "http://proxy:1", .https = "", .except = {std::string(rest)}};
  proxies.For(url);
  Result<> usable = CheckProxy(rest);
  // A password that a message would show.
  if (!usable && rest.ends_with("canary@host")) CHECK(!usable.error().message.contains("canary"));
}

}  // namespace weighhouse::source
