#include "cache-daemon/api/unix_listener.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/thread.h"

namespace weighhouse::api {
namespace {

constexpr int kBacklog = 64;
/// How long to rest when connections can't be accepted (no descriptors left): they wait in the
/// backlog.
constexpr int kRestMilliseconds = 100;

Result<sockaddr_un> ToAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("the socket path '{}' has {} bytes: unix sockets allow {}; choose a shorter "
                    "socket directory",
                    path, path.size(), sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> NewSocket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return FailErrno(errno, "socket");
  return fd;
}

const sockaddr* Raw(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

/// Removes what a killed daemon left at `path`, and nothing else.
Result<> RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return FailErrno(errno, fmt::format("look at {}", path));
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Fail(
        Code::kFailedPrecondition,
        fmt::format("{} exists and is not a socket: remove it or choose another socket directory",
                    path));
  }
  UniqueFd probe = TRY(NewSocket());
  if (::connect(probe.get(), Raw(address), sizeof address) == 0 || errno != ECONNREFUSED) {
    return Fail(
        Code::kFailedPrecondition,
        fmt::format("another process listens on {}: stop it or choose another socket directory",
                    path));
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return FailErrno(errno, fmt::format("remove the stale socket {}", path));
  }
  return {};
}

bool IsOutOfResources(int error_number) {
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS ||
         error_number == ENOMEM;
}

}  // namespace

Result<UnixListener> UnixListener::Bind(const std::string& path) {
  sockaddr_un address = TRY(ToAddress(path));
  TRY(RemoveStale(path, address));
  UniqueFd fd = TRY(NewSocket());
  if (::bind(fd.get(), Raw(address), sizeof address) != 0) {
    return FailErrno(errno, fmt::format("make the socket {}", path));
  }
  // Nobody can connect before listen(2), so the mode is right from the first moment.
  struct stat status{};
  if (::chmod(path.c_str(), 0660) != 0 || ::lstat(path.c_str(), &status) != 0) {
    return FailErrno(errno, fmt::format("set the mode of {}", path));
  }
  UnixListener listener(std::move(fd), path, status.st_ino);
  if (::listen(listener.fd(), kBacklog) != 0)
    return FailErrno(errno, fmt::format("listen on {}", path));
  return listener;
}

UnixListener::~UnixListener() {
  struct stat status{};
  if (fd_ && ::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_)
    ::unlink(path_.c_str());
}

Result<std::unique_ptr<Acceptor>> Acceptor::Start(std::vector<Route> routes) {
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return FailErrno(errno, "eventfd");
  return std::unique_ptr<Acceptor>(new Acceptor(std::move(routes), std::move(wake)));
}

Acceptor::Acceptor(std::vector<Route> routes, UniqueFd wake)
    : routes_(std::move(routes)), wake_(std::move(wake)) {
  thread_ = StartThread("api-accept", [this](const std::stop_token& stop) { Run(stop); });
}

Acceptor::~Acceptor() {
  thread_.request_stop();
  ::eventfd_write(wake_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

void Acceptor::Run(const std::stop_token& stop) {
  std::vector<pollfd> polled;
  polled.push_back({.fd = wake_.get(), .events = POLLIN, .revents = 0});
  for (const Route& route : routes_) {
    polled.push_back({.fd = route.listener.fd(), .events = POLLIN, .revents = 0});
  }
  while (!stop.stop_requested()) {
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
      LogRepeated(LogLevel::kError,
                  fmt::format("waiting for connections: {}", std::strerror(errno)));
      return;
    }
    for (size_t i = 0; i < routes_.size(); ++i) {
      if (polled[i + 1].revents != 0) AcceptAll(routes_[i]);
    }
  }
}

void Acceptor::AcceptAll(const Route& route) {
  while (true) {
    UniqueFd connection(
        ::accept4(route.listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!connection) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      int error_number = errno;  // logging may change it
      LogRepeated(LogLevel::kWarning, fmt::format("accept on {}: {}", route.listener.path(),
                                                  std::strerror(error_number)));
      pollfd wake{.fd = wake_.get(), .events = POLLIN, .revents = 0};
      if (IsOutOfResources(error_number)) ::poll(&wake, 1, kRestMilliseconds);
      return;
    }
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) continue;
    route.take(std::move(connection), Peer{.pid = credentials.pid, .uid = credentials.uid});
  }
}

}  // namespace weighhouse::api
