#include "test/cache-daemon/engine/paced_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"

namespace weighhouse {
namespace {

/// So often a paced connection sends.
constexpr int kSliceMilliseconds = 10;

}  // namespace

PacedServer::PacedServer(std::string content, Pace pace)
    : content_(std::move(content)),
      pace_(std::move(pace)),
      listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      ended_(::eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  CHECK(::bind(listener_.get(), any, size) == 0 && ::listen(listener_.get(), 64) == 0);
  CHECK(::getsockname(listener_.get(), any, &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { Accept(); });
}

PacedServer::~PacedServer() {
  uint64_t one = 1;
  CHECK(::write(ended_.get(), &one, sizeof(one)) == sizeof(one));
  acceptor_.join();
}

std::string PacedServer::Url(const std::string& name) const {
  return fmt::format("http://127.0.0.1:{}/{}", port_, name);
}

bool PacedServer::Wait(int fd, short events, int milliseconds) const {
  pollfd fds[] = {{.fd = ended_.get(), .events = POLLIN, .revents = 0},
                  {.fd = fd, .events = events, .revents = 0}};
  return ::poll(fds, fd < 0 ? 1 : 2, milliseconds) >= 0 && fds[0].revents == 0;
}

void PacedServer::Accept() {
  while (Wait(listener_.get(), POLLIN, -1)) {
    UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.get() < 0) continue;
    connections_.emplace_back(
        [this, socket = std::move(socket)]() mutable { Serve(std::move(socket)); });
  }
  connections_.clear();
}

std::string PacedServer::Answer(const std::string& head, std::string_view& body) const {
  body = content_;
  std::string status = "200 OK", range;
  size_t wanted = head.find("Range: bytes=");
  if (wanted != std::string::npos) {
    char* dash = nullptr;
    Bytes first = std::strtoull(head.c_str() + wanted + 13, &dash, 10);
    Bytes last = std::min<Bytes>(std::strtoull(dash + 1, nullptr, 10), content_.size() - 1);
    body = std::string_view(content_).substr(first, last + 1 - first);
    status = "206 Partial Content";
    range = fmt::format("Content-Range: bytes {}-{}/{}\r\n", first, last, content_.size());
  }
  std::string text = fmt::format(
      "HTTP/1.1 {}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\nETag: \"one\"\r\n{}\r\n",
      status, body.size(), range);
  if (head.starts_with("HEAD")) body = {};
  return text;
}

void PacedServer::Serve(UniqueFd socket) {
  std::string head;
  double bytes_per_second = 0;
  while (Wait(socket.get(), POLLIN, -1)) {
    char piece[4096];
    ssize_t count = ::read(socket.get(), piece, sizeof(piece));
    if (count == 0 || (count < 0 && errno != EAGAIN)) return;
    head.append(piece, static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (!head.ends_with("\r\n\r\n")) continue;
    std::string_view body;
    std::string answer = Answer(std::exchange(head, ""), body);
    bool part = body.size() > 4096;
    if (part && bytes_per_second == 0) bytes_per_second = pace_(fetching_++);
    if (!Send(socket.get(), answer, 1e9)) return;
    if (!Send(socket.get(), body, part ? bytes_per_second : 1e9)) return;
  }
}

bool PacedServer::Send(int fd, std::string_view bytes, double bytes_per_second) const {
  using Steady = std::chrono::steady_clock;
  Steady::time_point begun = Steady::now();
  size_t sent = 0;
  while (sent < bytes.size()) {
    double passed = std::chrono::duration<double>(Steady::now() - begun).count();
    size_t due = static_cast<size_t>((passed + kSliceMilliseconds / 1000.0) * bytes_per_second);
    due = std::min(due, bytes.size());
    if (due <= sent) {
      if (!Wait(-1, 0, kSliceMilliseconds)) return false;
      continue;
    }
    ssize_t count = ::send(fd, bytes.data() + sent, due - sent, MSG_NOSIGNAL);
    if (count < 0 && errno != EAGAIN) return false;
    if (count > 0) sent += static_cast<size_t>(count);
    if (count < 0 && !Wait(fd, POLLOUT, -1)) return false;
  }
  return true;
}

}  // namespace weighhouse
