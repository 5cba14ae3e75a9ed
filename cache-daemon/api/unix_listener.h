#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace weighhouse::api {

/// A listening unix socket (mode 0660) and its name, which goes when it is destroyed. Move-only.
class UnixListener {
 public:
  /// Listens at `path` (absolute). Replaces a socket file that nobody listens on.
  /// kFailedPrecondition if something else is there or another process listens; kInvalidArgument if
  /// the path is longer than sun_path (107 bytes).
  static Result<UnixListener> Bind(const std::string& path);
  UnixListener(UnixListener&&) = default;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  UnixListener(UniqueFd fd, std::string path, ino_t inode)
      : fd_(std::move(fd)), path_(std::move(path)), inode_(inode) {}

  UniqueFd fd_;
  std::string path_;
  ino_t inode_ = 0;  // of the name: a successor's socket of the same name is not ours to remove
};

/// Who connected (SO_PEERCRED: as of connect(2), in our user namespace).
struct Peer {
  pid_t pid = 0;
  uid_t uid = 0;
};

/// Accepts connections on a thread of its own. Destroying it ends the thread and removes the
/// sockets.
class Acceptor {
 public:
  struct Route {
    UnixListener listener;
    /// Takes one connection (non-blocking, close-on-exec). On the acceptor's thread; must not
    /// block.
    std::function<void(UniqueFd connection, Peer peer)> take;
  };
  static Result<std::unique_ptr<Acceptor>> Start(std::vector<Route> routes);
  ~Acceptor();

 private:
  Acceptor(std::vector<Route> routes, UniqueFd wake);
  void Run(const std::stop_token& stop);
  void AcceptAll(const Route& route);

  const std::vector<Route> routes_;
  const UniqueFd wake_;  // an eventfd: readable once the thread must end
  std::jthread thread_;
};

}  // namespace weighhouse::api
