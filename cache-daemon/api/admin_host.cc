#include "cache-daemon/api/admin_host.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/text.h"

namespace weighhouse::api {
namespace {

/// Kubernetes' own, and those that RFC 6761, RFC 6762 and ICANN keep out of the public DNS.
constexpr std::array<std::string_view, 4> kPrivateDomains = {".svc", ".local", ".localhost",
                                                             ".internal"};

bool IsAddress(int family, std::string_view text) {
  std::array<unsigned char, sizeof(in6_addr)> parsed{};
  return ::inet_pton(family, std::string(text).c_str(), parsed.data()) == 1;
}

}  // namespace

bool IsHostOfTheCluster(std::string_view host) {
  if (host.starts_with('[')) {
    return IsAddress(AF_INET6, host.substr(1, host.find(']') - 1));
  }
  std::string name = ToLower(host.substr(0, host.find(':')));
  if (name.ends_with('.')) name.pop_back();
  if (!name.contains('.') || IsAddress(AF_INET, name)) return true;
  return std::ranges::any_of(kPrivateDomains,
                             [&](std::string_view domain) { return name.ends_with(domain); });
}

}  // namespace weighhouse::api
