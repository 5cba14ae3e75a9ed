#include "csi/socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "base/unique_fd.h"

namespace weighhouse::csi {
namespace {

/// 0 if a process accepts connections at `path`, else the errno of connect(2).
int ConnectError(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return ENAMETOOLONG;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno;
  int status = connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  return status == 0 ? 0 : errno;
}

}  // namespace

Result<> PrepareSocketPath(const std::string& path) {
  std::string directory = path.substr(0, path.rfind('/'));
  struct stat status{};
  if (stat(directory.empty() ? "/" : directory.c_str(), &status) != 0) {
    return FailErrno(errno, fmt::format("--endpoint: open {}", directory));
  }
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return FailErrno(errno, fmt::format("--endpoint: stat {}", path));
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Fail(Code::kFailedPrecondition,
                fmt::format("--endpoint: {} exists and is no socket: remove it, or choose another "
                            "path",
                            path));
  }
  int error = ConnectError(path);
  if (error == ECONNREFUSED) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return FailErrno(errno, fmt::format("--endpoint: remove the stale {}", path));
  }
  if (error == 0 || error == EAGAIN) {  // EAGAIN: its queue is full, so somebody listens
    return Fail(Code::kFailedPrecondition,
                fmt::format("--endpoint: another process answers on {}: is a second plugin running "
                            "on this node?",
                            path));
  }
  return FailErrno(error, fmt::format("--endpoint: connect to {}", path));
}

}  // namespace weighhouse::csi
