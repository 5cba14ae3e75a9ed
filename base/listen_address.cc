#include "base/listen_address.h"

#include <arpa/inet.h>

#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse {
namespace {

bool IsAddress(int family, const std::string& host) {
  in6_addr address{};
  return ::inet_pton(family, host.c_str(), &address) == 1;
}

std::optional<uint16_t> ToPort(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::optional<ListenAddress> Read(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::optional<uint16_t> port = ToPort(text.substr(colon + 1));
  if (!port) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  bool bracketed = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  ListenAddress address{.host = std::string(host), .port = *port};
  if (host.empty() || IsAddress(bracketed ? AF_INET6 : AF_INET, address.host)) return address;
  return std::nullopt;
}

}  // namespace

Result<ListenAddress> ListenAddress::Parse(std::string_view text) {
  if (std::optional<ListenAddress> address = Read(text)) return *std::move(address);
  return Fail(Code::kInvalidArgument,
              fmt::format("'{}' is not an address to listen on: give one such as 127.0.0.1:9899, "
                          "[::1]:9899, or :9899 for every address",
                          Printable(text)));
}

std::string ListenAddress::ToString() const {
  bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

}  // namespace weighhouse
