#include "csi/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::csi {
namespace {

/// glibc 2.36 has no wrapper for openat2(2).
Result<UniqueFd> OpenBeneath(int directory, const std::string& path, uint64_t flags,
                             MountCrossing crossing) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  if (crossing == MountCrossing::kRefused) how.resolve |= RESOLVE_NO_XDEV;
  UniqueFd fd(static_cast<int>(syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how)));
  if (fd) return fd;
  std::string what = fmt::format("open {}", Printable(path, 400));
  switch (errno) {
    case ELOOP:
      return Fail(Code::kInvalidArgument, what + ": a component is a symbolic link");
    case ENOTDIR:
      return Fail(Code::kInvalidArgument, what + ": a component is no directory");
    case ENAMETOOLONG:
      return Fail(Code::kInvalidArgument, what + ": a component is too long");
    case EXDEV:
      return Fail(Code::kInvalidArgument, what + ": leaves its root or crosses a mount");
    default:
      return FailErrno(errno, what);
  }
}

}  // namespace

Result<RootDirectory> OpenRootDirectory(const std::string& path) {
  RootDirectory root;
  root.fd.reset(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.fd) return FailErrno(errno, fmt::format("open {}", path));
  std::array<char, PATH_MAX> buffer{};
  ssize_t size = readlink(DescriptorPath(root.fd.get()).c_str(), buffer.data(), buffer.size());
  if (size < 0) return FailErrno(errno, fmt::format("resolve {}", path));
  root.path.assign(buffer.data(), static_cast<size_t>(size));
  return root;
}

Result<UniqueFd> OpenDirectoryBeneath(int directory, const std::string& path,
                                      MountCrossing crossing) {
  return OpenBeneath(directory, path, O_PATH | O_DIRECTORY, crossing);
}

Result<UniqueFd> OpenListingBeneath(int directory, const std::string& path,
                                    MountCrossing crossing) {
  return OpenBeneath(directory, path, O_RDONLY | O_DIRECTORY, crossing);
}

Result<UniqueFd> OpenFileBeneath(int directory, const std::string& path, MountCrossing crossing) {
  // O_NONBLOCK: a FIFO in the place of the file must not hold us.
  UniqueFd fd = TRY(OpenBeneath(directory, path, O_RDONLY | O_NONBLOCK, crossing));
  struct stat status{};
  if (fstat(fd.get(), &status) != 0) return FailErrno(errno, fmt::format("stat {}", path));
  if (!S_ISREG(status.st_mode)) {
    return Fail(Code::kInvalidArgument, fmt::format("open {}: no regular file", path));
  }
  return fd;
}

Result<uint64_t> MountIdOf(int fd) {
  constexpr unsigned int kUnique = 0x4000;  // STATX_MNT_ID_UNIQUE, which glibc 2.36 doesn't have
  // A kernel that doesn't know the one gives the other, since 5.8.
  struct statx status{};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID | kUnique, &status) != 0) {
    return FailErrno(errno, "stat a mount");
  }
  if ((status.stx_mask & (STATX_MNT_ID | kUnique)) != 0) return status.stx_mnt_id;
  return Fail(Code::kUnimplemented, "this kernel doesn't tell mounts apart (Linux 5.12 is needed)");
}

std::string DescriptorPath(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

Result<std::string> ReadAtMost(int fd, size_t limit) {
  std::string text(limit, '\0');
  size_t have = 0;
  while (have < limit) {
    ssize_t got = read(fd, text.data() + have, limit - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno(errno, "read");
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  text.resize(have);
  return text;
}

}  // namespace weighhouse::csi
