// bench-proxy: a far or troubled path in front of a server, for machines whose kernel has no netem.
// Prints its port, then carries connections until its standard input ends.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "test/bench/shaped_connection.h"

namespace weighhouse::bench {
namespace {

struct Options {
  std::string listen = "127.0.0.1";
  uint16_t server_port = 0;  ///< on 127.0.0.1
  int first_byte_ms = 0;
  double rate = 0;
  double first_connection_rate = 0;
  double reset_every = 0;  ///< seconds
};

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "bench-proxy: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

sockaddr_in Address(const std::string& host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) Die("--listen");
  return address;
}

/// Owned by the one thread.
class Proxy {
 public:
  explicit Proxy(const Options& options) : options_(options) {
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address = Address(options_.listen, 0);
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), SOMAXCONN) != 0) {
      Die("listen");
    }
    Watch(listener_.get(), EPOLLIN);
    Watch(STDIN_FILENO, EPOLLIN);
    if (options_.reset_every > 0) next_reset_ = Clock::now() + ResetInterval();
  }

  uint16_t port() const {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }

  /// Until standard input ends.
  void Run() {
    std::array<epoll_event, 64> events;
    while (true) {
      int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), Timeout());
      if (count < 0 && errno != EINTR) Die("epoll_wait");
      for (int i = 0; i < count; ++i) {
        if (events[i].data.fd == STDIN_FILENO) return;
        OnEvent(events[i]);
      }
      PumpAll();
      ResetWhenDue();
    }
  }

 private:
  void Watch(int fd, uint32_t events) {
    epoll_event event{.events = events, .data = {.fd = fd}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
  }

  Clock::duration ResetInterval() const {
    return std::chrono::ceil<Clock::duration>(std::chrono::duration<double>(options_.reset_every));
  }

  /// Milliseconds until something can happen without an event.
  int Timeout() const {
    Clock::time_point now = Clock::now();
    std::optional<Clock::time_point> first = next_reset_;
    for (const auto& [client, connection] : connections_) {
      std::optional<Clock::time_point> wake = connection->wake_at();
      if (wake && (!first || *wake < *first)) first = wake;
    }
    if (!first) return -1;
    if (*first <= now) return 0;
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(*first - now).count());
  }

  void OnEvent(const epoll_event& event) {
    if (event.data.fd == listener_.get()) return Accept();
    if (auto found = connections_.find(event.data.fd); found != connections_.end()) {
      found->second->OnClientEvent(event.events);
    } else if (auto twin = clients_.find(event.data.fd); twin != clients_.end()) {
      connections_.at(twin->second)->OnServerEvent(event.events);
    }
  }

  void Accept() {
    UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client) return;
    UniqueFd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = Address("127.0.0.1", options_.server_port);
    // On the loopback a connection is there at once: no need to wait for it by event.
    if (::connect(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return;
    ::fcntl(server.get(), F_SETFL, O_NONBLOCK);
    int on = 1;
    ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(server.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    double rate = options_.rate;
    if (accepted_++ == 0 && options_.first_connection_rate > 0) {
      rate = options_.first_connection_rate;
    }
    Shape shape{.first_byte = std::chrono::milliseconds(options_.first_byte_ms),
                .bytes_per_second = rate};
    int client_fd = client.get(), server_fd = server.get();
    connections_[client_fd] =
        std::make_unique<ShapedConnection>(std::move(client), std::move(server), shape);
    clients_[server_fd] = client_fd;
    Watch(client_fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    Watch(server_fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  }

  void PumpAll() {
    Clock::time_point now = Clock::now();
    for (auto entry = connections_.begin(); entry != connections_.end();) {
      bool ended = entry->second->Pump(now) == ShapedConnection::State::kEnded;
      if (ended) clients_.erase(entry->second->server());
      entry = ended ? connections_.erase(entry) : std::next(entry);
    }
  }

  /// One of those that carry an answer: a reset of an idle one would trouble nobody.
  void ResetWhenDue() {
    Clock::time_point now = Clock::now();
    if (!next_reset_ || now < *next_reset_) return;
    next_reset_ = now + ResetInterval();
    std::vector<int> busy;
    for (const auto& [client, connection] : connections_) {
      if (connection->busy(now)) busy.push_back(client);
    }
    if (busy.empty()) return;
    size_t chosen = std::uniform_int_distribution<size_t>(0, busy.size() - 1)(random_);
    auto entry = connections_.find(busy[chosen]);
    clients_.erase(entry->second->server());
    entry->second->Reset();
    connections_.erase(entry);
    std::fprintf(stderr, "bench-proxy: reset one of %zu busy connections\n", busy.size());
  }

  const Options options_;
  UniqueFd epoll_, listener_;
  size_t accepted_ = 0;
  std::map<int, std::unique_ptr<ShapedConnection>> connections_;  // by the client's socket
  std::map<int, int> clients_;                                    // by the server's socket
  std::optional<Clock::time_point> next_reset_;
  std::mt19937 random_{1};  // the same choices in each run
};

}  // namespace
}  // namespace weighhouse::bench

int main(int argc, char** argv) {
  weighhouse::bench::Options options;
  CLI::App app("A far or troubled path in front of a server on 127.0.0.1");
  app.add_option("--listen", options.listen,
                 "Address to listen on; the port is the kernel's choice");
  app.add_option("--server-port", options.server_port, "The server behind")->required();
  app.add_option("--first-byte-ms", options.first_byte_ms,
                 "Milliseconds to each answer's first byte");
  app.add_option("--rate", options.rate, "Bytes a second on each connection");
  app.add_option("--first-connection-rate", options.first_connection_rate,
                 "Bytes a second on the first connection accepted, for its whole life");
  app.add_option("--reset-every", options.reset_every,
                 "Seconds; then one random connection gets RST");
  CLI11_PARSE(app, argc, argv);
  weighhouse::bench::Proxy proxy(options);
  std::printf("%u\n", proxy.port());
  std::fflush(stdout);
  proxy.Run();
  return 0;
}
