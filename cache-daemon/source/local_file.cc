#include "cache-daemon/source/local_file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {

std::string LocalPathOf(const std::string& url) {
  return url.substr(std::string_view("file://").size());
}

Result<LocalFile> OpenLocalFile(const std::string& path) {
  // O_NONBLOCK: opening a fifo must not hold the caller up.
  open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_NO_SYMLINKS};
  LocalFile file;
  file.fd =
      UniqueFd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof(how))));
  if (!file.fd && errno == ELOOP) {
    return Fail(Code::kOutOfRange,
                fmt::format("{}: became a link since it was listed", Printable(path)));
  }
  if (!file.fd) return FailErrno(errno, fmt::format("open {}", Printable(path)));
  struct stat info = {};
  if (fstat(file.fd.get(), &info) != 0) {
    return FailErrno(errno, fmt::format("stat {}", Printable(path)));
  }
  if (!S_ISREG(info.st_mode)) {
    return Fail(Code::kFailedPrecondition, fmt::format("{}: is no regular file", Printable(path)));
  }
  file.size = static_cast<Bytes>(info.st_size);
  return file;
}

Result<std::string> ReadLocalFile(const std::string& path, Bytes limit) {
  LocalFile file = TRY(OpenLocalFile(path));
  std::string text;
  while (text.size() <= limit) {
    constexpr size_t kStep = 64 * 1024;
    size_t filled = text.size();
    text.resize(filled + kStep);
    ssize_t got = -1;
    do {
      got = ::read(file.fd.get(), text.data() + filled, kStep);
    } while (got < 0 && errno == EINTR);
    text.resize(filled + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0) return FailErrno(errno, fmt::format("read {}", Printable(path)));
    if (got == 0) return text;
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("{} is larger than {}", Printable(path), FormatBytes(limit)));
}

}  // namespace weighhouse::source
