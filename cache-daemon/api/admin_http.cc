#include "cache-daemon/api/admin_http.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/unique_fd.h"
#include "cache-daemon/api/admin_host.h"

namespace weighhouse::api {
namespace {

constexpr unsigned kThreads = 2;
constexpr unsigned kConnections = 32;
constexpr unsigned kConnectionsOfOneAddress = 8;
/// Of a connection: its request must fit.
constexpr size_t kConnectionMemory = 16 * kKiB;
constexpr unsigned kIdleSeconds = 3;
constexpr int kAdminBacklog = 16;
constexpr int kMisdirected = 421;

struct Route {
  std::string_view path;
  AdminPages::Page (AdminPages::*make)();
  const char* content_type;
};
constexpr std::array kRoutes = {
    Route{"/", &AdminPages::StatusPage, "text/html; charset=utf-8"},
    Route{"/status", &AdminPages::StatusPage, "text/html; charset=utf-8"},
    Route{"/api/v1/status", &AdminPages::Status, "application/json"},
    Route{"/metrics", &AdminPages::Metrics, metrics::Registry::kContentType},
    Route{"/healthz", &AdminPages::Healthz, "text/plain"},
    Route{"/readyz", &AdminPages::Readyz, "text/plain"},
};

/// Of every answer, beside its policy: browsers keep nothing of it, take it for nothing else than
/// it says, and tell nobody where they had it from.
constexpr std::array<std::pair<const char*, const char*>, 4> kHeaders = {{
    {"Cache-Control", "no-store"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
}};

/// An address and its length, as the socket calls take it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress ToSocketAddress(const std::string& host, uint16_t port) {
  SocketAddress address;
  if (host.find(':') != std::string::npos) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    ::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr);
    address.size = sizeof(*v6);
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    ::inet_pton(AF_INET, host.c_str(), &v4->sin_addr);
    address.size = sizeof(*v4);
  }
  return address;
}

/// A socket that listens; on failure none, and errno says why.
UniqueFd ListenOn(const std::string& host, uint16_t port) {
  SocketAddress address = ToSocketAddress(host, port);
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fd;
  int yes = 1;
  int no = 0;
  // Not SO_REUSEPORT: a second daemon would share the port unnoticed.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  // "::" takes connections by IPv4 too, whatever the node's default is.
  if (address.storage.ss_family == AF_INET6) {
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
  }
  const auto* name = reinterpret_cast<const sockaddr*>(&address.storage);
  bool listens =
      ::bind(fd.get(), name, address.size) == 0 && ::listen(fd.get(), kAdminBacklog) == 0;
  if (listens) return fd;
  int error_number = errno;
  fd.reset();
  errno = error_number;
  return fd;
}

uint16_t PortOf(const UniqueFd& fd) {
  SocketAddress address;
  address.size = sizeof(address.storage);
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.size);
  return ntohs(address.storage.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port);
}

MHD_Result Answer(MHD_Connection* connection, const AdminPages::Page& page,
                  const char* content_type) {
  MHD_Response* response = MHD_create_response_from_buffer(
      page.text.size(), const_cast<char*>(page.text.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
  MHD_add_response_header(response, "Content-Security-Policy",
                          page.content_security_policy.c_str());
  for (const auto& [name, value] : kHeaders) MHD_add_response_header(response, name, value);
  // One answer a connection: one that is kept for the next question keeps a place.
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  MHD_Result queued = MHD_queue_response(connection, static_cast<unsigned>(page.status), response);
  MHD_destroy_response(response);
  return queued;
}

/// Keeps names from strangers' pages. What has none is for whoever asks.
AdminPages::Page MakeFor(MHD_Connection* connection, const Route& route, AdminPages& pages) {
  const char* given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
  std::string_view host = given == nullptr ? "" : given;
  bool has_names = route.make == &AdminPages::Status && pages.details() == Details::kShown;
  if (!has_names || IsHostOfTheCluster(host)) return (pages.*route.make)();
  return {.status = kMisdirected,
          .text = fmt::format("not shown to '{}', because admin.details is true: ask by address, "
                              "by a Service's name, or at localhost by kubectl port-forward\n",
                              Printable(host))};
}

/// libmicrohttpd calls it for each request whose head it has read.
MHD_Result OnRequest(void* context, MHD_Connection* connection, const char* path,
                     const char* method, const char*, const char*, size_t*, void**) {
  auto& pages = *static_cast<AdminPages*>(context);
  std::string_view verb(method);
  if (verb != MHD_HTTP_METHOD_GET && verb != MHD_HTTP_METHOD_HEAD) {
    return Answer(connection, {.status = MHD_HTTP_METHOD_NOT_ALLOWED, .text = "only GET\n"},
                  "text/plain");
  }
  for (const Route& route : kRoutes) {
    if (path != route.path) continue;
    AdminPages::Page page = MakeFor(connection, route, pages);
    return Answer(connection, page,
                  page.status == kMisdirected ? "text/plain" : route.content_type);
  }
  return Answer(connection,
                {.status = MHD_HTTP_NOT_FOUND,
                 .text = "not found: see /, /api/v1/status, /metrics, /healthz, /readyz\n"},
                "text/plain");
}

class MicroHttp final : public AdminHttp {
 public:
  /// Takes over `socket`, which listens.
  MicroHttp(ListenAddress address, UniqueFd socket, AdminPages& pages)
      : address_(std::move(address)),
        socket_(std::move(socket)),
        daemon_(MHD_start_daemon(
            MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, nullptr, nullptr, &OnRequest, &pages,
            MHD_OPTION_LISTEN_SOCKET, socket_.get(), MHD_OPTION_THREAD_POOL_SIZE, kThreads,
            MHD_OPTION_CONNECTION_LIMIT, kConnections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
            kConnectionsOfOneAddress, MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionMemory,
            MHD_OPTION_CONNECTION_TIMEOUT, kIdleSeconds, MHD_OPTION_END)) {
    if (daemon_ != nullptr) socket_.release();  // it closes it when it stops
  }
  ~MicroHttp() override {
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
  }
  MicroHttp(const MicroHttp&) = delete;
  MicroHttp& operator=(const MicroHttp&) = delete;

  bool runs() const { return daemon_ != nullptr; }
  const ListenAddress& address() const override { return address_; }

 private:
  const ListenAddress address_;
  UniqueFd socket_;
  MHD_Daemon* const daemon_;
};

}  // namespace

Result<std::unique_ptr<AdminHttp>> AdminHttp::Start(const ListenAddress& address,
                                                    AdminPages& pages) {
  // Every address: that of IPv6 takes connections by IPv4 too, but a kernel may be without it.
  bool any = address.host.empty();
  UniqueFd socket = ListenOn(any ? "::" : address.host, address.port);
  if (!socket && any) socket = ListenOn("0.0.0.0", address.port);
  if (!socket) {
    return Fail(Code::kFailedPrecondition,
                fmt::format("listen on {}: {}: give another address, or 'off', as admin.listen",
                            address.ToString(), std::strerror(errno)));
  }
  ListenAddress bound{.host = address.host, .port = PortOf(socket)};
  auto server = std::make_unique<MicroHttp>(std::move(bound), std::move(socket), pages);
  if (server->runs()) return server;
  return Fail(Code::kFailedPrecondition,
              fmt::format("listen on {}: the HTTP server can't start: {}", address.ToString(),
                          std::strerror(errno)));
}

}  // namespace weighhouse::api
