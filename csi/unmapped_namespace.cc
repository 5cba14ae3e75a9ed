#include "csi/unmapped_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include <fmt/format.h>

namespace weighhouse::csi {
namespace {

/// A process in a new user namespace that lives until this object dies.
class NamespaceHolder {
 public:
  static Result<NamespaceHolder> Start() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno(errno, "pipe");
    NamespaceHolder holder;
    UniqueFd read_end(ends[0]);
    holder.keep_alive_.reset(ends[1]);
    holder.pid_ = static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    if (holder.pid_ == 0) {
      // A copy of a process that may have threads: only system calls until _exit.
      char byte = 0;
      close(ends[1]);
      [[maybe_unused]] ssize_t got = read(ends[0], &byte, 1);
      _exit(0);
    }
    if (holder.pid_ < 0) {
      return Fail(Code::kUnimplemented,
                  fmt::format("no user namespace can be made: {} (see user.max_user_namespaces)",
                              std::strerror(errno)));
    }
    return holder;
  }
  NamespaceHolder(NamespaceHolder&& other) noexcept
      : keep_alive_(std::move(other.keep_alive_)), pid_(std::exchange(other.pid_, -1)) {}
  NamespaceHolder& operator=(NamespaceHolder&&) = delete;
  ~NamespaceHolder() {
    keep_alive_.reset();
    while (pid_ > 0 && waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
  }

  std::string Path(std::string_view name) const { return fmt::format("/proc/{}/{}", pid_, name); }

 private:
  NamespaceHolder() = default;
  UniqueFd keep_alive_;  ///< the child reads the other end of this pipe until it is closed
  pid_t pid_ = -1;
};

Result<> WriteMap(const std::string& path) {
  std::string map = fmt::format("{0} {0} 1\n", kMappedId);
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || write(fd.get(), map.data(), map.size()) != static_cast<ssize_t>(map.size())) {
    return Fail(Code::kUnimplemented, fmt::format("write {}: {}", path, std::strerror(errno)));
  }
  return {};
}

}  // namespace

Result<UniqueFd> MakeUnmappedNamespace() {
  NamespaceHolder holder = TRY(NamespaceHolder::Start());
  TRY(WriteMap(holder.Path("uid_map")));
  TRY(WriteMap(holder.Path("gid_map")));
  UniqueFd fd(open(holder.Path("ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return FailErrno(errno, "open the user namespace");
  return fd;
}

}  // namespace weighhouse::csi
