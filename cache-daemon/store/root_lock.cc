#include "cache-daemon/store/root_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <array>
#include <cerrno>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::store {
namespace {

std::unexpected<Error> FailInUse(int fd, const std::string& root) {
  std::array<char, 32> text{};
  ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  std::string_view pid =
      Trim(std::string_view(text.data(), size > 0 ? static_cast<size_t>(size) : 0));
  return Fail(
      Code::kUnavailable,
      fmt::format("cache root {} is in use by process {}: stop it, or give this one a root of "
                  "its own",
                  root, pid.empty() ? "(unknown)" : Printable(pid)));
}

}  // namespace

Result<RootLock> RootLock::Take(const std::string& path, const std::string& root) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return FailErrno(errno, "open " + path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return FailInUse(fd.get(), root);
    return FailErrno(errno, "lock " + path);
  }
  std::string pid = fmt::format("{}\n", ::getpid());
  // Only for people: the lock holds without it.
  if (::ftruncate(fd.get(), 0) == 0) {
    [[maybe_unused]] ssize_t written = ::pwrite(fd.get(), pid.data(), pid.size(), 0);
  }
  return RootLock(std::move(fd));
}

}  // namespace weighhouse::store
