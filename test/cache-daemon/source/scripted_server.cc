#include "test/cache-daemon/source/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"

namespace weighhouse::source {
namespace {

/// Sends all of `bytes`; false if the other side went away.
bool SendAll(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

/// What Content-Length promises.
size_t BodyBytes(const std::string& head) {
  constexpr std::string_view kName = "\r\ncontent-length: ";
  size_t at = ToLower(head).find(kName);
  return at == std::string::npos ? 0 : std::strtoul(head.c_str() + at + kName.size(), nullptr, 10);
}

}  // namespace

ScriptedServer::ScriptedServer(Script script)
    : script_(std::move(script)),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      ended_(eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  CHECK(bind(listener_.get(), generic, size) == 0);
  CHECK(listen(listener_.get(), 64) == 0);
  CHECK(getsockname(listener_.get(), generic, &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { Accept(); });
}

ScriptedServer::~ScriptedServer() {
  eventfd_write(ended_.get(), 1);
  acceptor_.join();
  connections_.clear();
}

std::string ScriptedServer::Url(const std::string& path, const std::string& host) const {
  return fmt::format("http://{}:{}{}", host, port_, path);
}

std::vector<ScriptedServer::Request> ScriptedServer::Requests() const {
  MutexLock lock(mutex_);
  return requests_;
}

bool ScriptedServer::AwaitReadable(int fd) const {
  pollfd waits[] = {{.fd = fd, .events = POLLIN, .revents = 0},
                    {.fd = ended_.get(), .events = POLLIN, .revents = 0}};
  return poll(waits, 2, -1) > 0 && waits[1].revents == 0;
}

void ScriptedServer::Accept() {
  for (int connection = 0; AwaitReadable(listener_.get()); ++connection) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) continue;
    connections_.emplace_back([this, connection, held = std::move(socket)]() mutable {
      Serve(std::move(held), connection);
    });
  }
}

void ScriptedServer::Serve(UniqueFd socket, int connection) {
  std::string pending;
  while (true) {
    size_t end = pending.find("\r\n\r\n");
    size_t body = end == std::string::npos ? 0 : BodyBytes(pending.substr(0, end));
    if (end == std::string::npos || pending.size() < end + 4 + body) {
      char piece[4096];
      if (!AwaitReadable(socket.get())) return;
      ssize_t got = recv(socket.get(), piece, sizeof(piece), 0);
      if (got <= 0) return;
      pending.append(piece, static_cast<size_t>(got));
      continue;
    }
    Request request{.head = pending.substr(0, end),
                    .connection = connection,
                    .body = pending.substr(end + 4, body)};
    pending.erase(0, end + 4 + body);
    size_t first = request.head.find(' '), second = request.head.find(' ', first + 1);
    request.method = request.head.substr(0, first);
    request.target = request.head.substr(first + 1, second - first - 1);
    {
      MutexLock lock(mutex_);
      requests_.push_back(request);
    }
    Reply reply = script_(request);
    if (!SendAll(socket.get(), reply.bytes) || reply.then == Reply::Then::kClose) return;
    while (reply.then == Reply::Then::kHold) {
      if (!AwaitReadable(ended_.get())) return;
    }
  }
}

std::string HttpAnswer(int status, const std::vector<std::string>& headers,
                       const std::string& body) {
  std::string text =
      fmt::format("HTTP/1.1 {} Scripted\r\nContent-Length: {}\r\n", status, body.size());
  for (const std::string& header : headers) text += header + "\r\n";
  return text + "\r\n" + body;
}

}  // namespace weighhouse::source
