#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "cache-daemon/io/filesystem.h"

namespace weighhouse::io {
namespace {

constexpr int kNeverFollow = O_NOFOLLOW | O_CLOEXEC;

/// The result of a system call that is repeated while a signal interrupts it.
template <class Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// The failure that `errno` describes: "<operation> <path>: <errno's text>".
std::unexpected<Error> FailCall(std::string_view operation, std::string_view path) {
  int error_number = errno;
  return FailErrno(error_number, fmt::format("{} {}", operation, path));
}

Result<> Outcome(int result, std::string_view operation, std::string_view path) {
  if (result < 0) return FailCall(operation, path);
  return {};
}

Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode = 0) {
  UniqueFd fd(Uninterrupted([&] { return ::open(path.c_str(), flags | kNeverFollow, mode); }));
  if (!fd) return FailCall("open", path);
  return fd;
}

/// Turns O_DIRECT on after the file was opened: open(2) with O_CREAT | O_DIRECT can create the file
/// and then answer EINVAL, and the second try would find it there.
Result<OpenedFile> WithMode(UniqueFd fd, IoMode mode, const std::string& path) {
  if (mode == IoMode::kBuffered) return OpenedFile{.fd = std::move(fd), .mode = mode};
  int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0) return FailCall("fcntl", path);
  if (::fcntl(fd.get(), F_SETFL, flags | O_DIRECT) < 0) {
    if (errno != EINVAL) return FailCall("set O_DIRECT on", path);
    mode = IoMode::kBuffered;
  }
  return OpenedFile{.fd = std::move(fd), .mode = mode};
}

Result<> WriteAll(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    ssize_t written = Uninterrupted([&] { return ::write(fd, content.data(), content.size()); });
    if (written < 0) return FailCall("write", path);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

EntryKind KindOfMode(mode_t mode) {
  if (S_ISREG(mode)) return EntryKind::kFile;
  return S_ISDIR(mode) ? EntryKind::kDirectory : EntryKind::kOther;
}

/// The kind of a directory entry; nothing if it vanished meanwhile. Only some filesystems (and none
/// we are meant for) leave d_type unknown and cost a stat.
std::optional<EntryKind> KindOfEntry(int directory, const dirent& entry) {
  switch (entry.d_type) {
    case DT_REG:
      return EntryKind::kFile;
    case DT_DIR:
      return EntryKind::kDirectory;
    case DT_UNKNOWN:
      break;
    default:
      return EntryKind::kOther;
  }
  struct stat status{};
  if (::fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
    return KindOfMode(status.st_mode);
  }
  return errno == ENOENT ? std::nullopt : std::optional(EntryKind::kOther);
}

/// off_t of `size`; kInternal (EFBIG) for what no file can be.
Result<off_t> FileOffset(Bytes size, std::string_view operation, const std::string& path) {
  if (size <= static_cast<Bytes>(std::numeric_limits<off_t>::max()))
    return static_cast<off_t>(size);
  errno = EFBIG;
  return FailCall(operation, path);
}

}  // namespace

Result<OpenedFile> PosixFilesystem::CreateFile(const std::string& path, IoMode mode) {
  UniqueFd fd = TRY(Open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  Result<OpenedFile> opened = WithMode(std::move(fd), mode, path);
  if (!opened) ::unlink(path.c_str());
  return opened;
}

Result<OpenedFile> PosixFilesystem::OpenForRead(const std::string& path, IoMode mode) {
  UniqueFd fd = TRY(Open(path, O_RDONLY));
  return WithMode(std::move(fd), mode, path);
}

Result<OpenedFile> PosixFilesystem::OpenForWrite(const std::string& path, IoMode mode) {
  UniqueFd fd = TRY(Open(path, O_RDWR));
  return WithMode(std::move(fd), mode, path);
}

Result<> PosixFilesystem::Allocate(int fd, Bytes size, const std::string& path) {
  if (size == 0) return {};  // fallocate(2) calls it EINVAL
  off_t length = TRY(FileOffset(size, "allocate", path));
  if (Uninterrupted([&] { return ::fallocate(fd, 0, 0, length); }) == 0) return {};
  if (errno != EOPNOTSUPP && errno != ENOSYS) return FailCall("allocate", path);
  struct stat status{};
  if (::fstat(fd, &status) < 0) return FailCall("stat", path);
  if (status.st_size >= length) return {};  // like fallocate(2), never shorten
  return Truncate(fd, size, path);
}

Result<> PosixFilesystem::Truncate(int fd, Bytes size, const std::string& path) {
  off_t length = TRY(FileOffset(size, "truncate", path));
  return Outcome(Uninterrupted([&] { return ::ftruncate(fd, length); }), "truncate", path);
}

Result<> PosixFilesystem::ChangeMode(int fd, unsigned mode, const std::string& path) {
  return Outcome(Uninterrupted([&] { return ::fchmod(fd, mode); }), "chmod", path);
}

Result<> PosixFilesystem::SyncData(int fd, const std::string& path) {
  return Outcome(Uninterrupted([&] { return ::fdatasync(fd); }), "fdatasync", path);
}

Result<std::string> PosixFilesystem::ReadFile(const std::string& path, Bytes limit) {
  UniqueFd fd = TRY(Open(path, O_RDONLY));
  std::string content;
  while (true) {
    constexpr size_t kPiece = 16 * kKiB;
    size_t size = content.size();
    content.resize(size + kPiece);
    ssize_t got = Uninterrupted([&] { return ::read(fd.get(), content.data() + size, kPiece); });
    if (got < 0) return FailCall("read", path);
    content.resize(size + static_cast<size_t>(got));
    if (content.size() > limit) {
      return Fail(Code::kOutOfRange,
                  fmt::format("read {}: larger than {}", path, FormatBytes(limit)));
    }
    if (got == 0) return content;
  }
}

Result<> PosixFilesystem::WriteFile(const std::string& path, std::string_view content) {
  UniqueFd fd = TRY(Open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  TRY(ChangeMode(fd.get(), 0644, path));  // whatever the umask
  return WriteAll(fd.get(), content, path);
}

Result<> PosixFilesystem::AppendAndSync(const std::string& path, std::string_view content) {
  UniqueFd fd = TRY(Open(path, O_WRONLY | O_CREAT | O_APPEND, 0644));
  TRY(WriteAll(fd.get(), content, path));
  return SyncData(fd.get(), path);
}

Result<> PosixFilesystem::MakeDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) < 0) return FailCall("mkdir", path);
  // Pods of any uid go through our directories, so the mode must not depend on the umask the daemon
  // was started with.
  UniqueFd fd = TRY(Open(path, O_RDONLY | O_DIRECTORY));
  return ChangeMode(fd.get(), 0755, path);
}

Result<> PosixFilesystem::Rename(const std::string& from, const std::string& to, Replace replace) {
  std::string names = fmt::format("{} to {}", from, to);
  if (replace == Replace::kAllowed) {
    return Outcome(::rename(from.c_str(), to.c_str()), "rename", names);
  }
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno != EINVAL && errno != ENOSYS) return FailCall("rename", names);
  return RenameUnlessTaken(from, to);
}

// Neither link(2) + unlink(2), which no directory takes and which leaves two names after a crash,
// nor an empty placeholder to claim the name, which a crash would leave behind as a blob. A look
// and a rename are right as long as nobody else renames in between: other processes are kept out by
// the store's lock on the root, our threads by this mutex.
Result<> PosixFilesystem::RenameUnlessTaken(const std::string& from, const std::string& to) {
  std::string names = fmt::format("{} to {}", from, to);
  MutexLock lock(rename_mutex_);
  struct stat status{};
  if (::lstat(to.c_str(), &status) == 0) return FailErrno(EEXIST, fmt::format("rename {}", names));
  if (errno != ENOENT) return FailCall("stat", to);
  return Outcome(::rename(from.c_str(), to.c_str()), "rename", names);
}

Result<> PosixFilesystem::Link(const std::string& existing, const std::string& name) {
  if (::linkat(AT_FDCWD, existing.c_str(), AT_FDCWD, name.c_str(), 0) == 0) return {};
  if (errno == EMLINK) {
    return Fail(Code::kOutOfRange,
                fmt::format("link {} to {}: {}", name, existing, std::strerror(EMLINK)));
  }
  return FailCall("link", fmt::format("{} to {}", name, existing));
}

Result<> PosixFilesystem::Unlink(const std::string& path) {
  return Outcome(::unlink(path.c_str()), "unlink", path);
}

Result<> PosixFilesystem::RemoveDirectory(const std::string& path) {
  return Outcome(::rmdir(path.c_str()), "rmdir", path);
}

Result<> PosixFilesystem::SyncDirectory(const std::string& path) {
  UniqueFd fd = TRY(Open(path, O_RDONLY | O_DIRECTORY));
  return Outcome(Uninterrupted([&] { return ::fsync(fd.get()); }), "fsync", path);
}

Result<> PosixFilesystem::SyncFile(const std::string& path) {
  UniqueFd fd = TRY(Open(path, O_RDONLY));
  return Outcome(Uninterrupted([&] { return ::fsync(fd.get()); }), "fsync", path);
}

Result<std::vector<DirectoryEntry>> PosixFilesystem::List(const std::string& path) {
  UniqueFd fd = TRY(Open(path, O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd.get()), &::closedir);
  if (directory == nullptr) return FailCall("list", path);
  int directory_fd = fd.release();  // closedir(3) closes it
  std::vector<DirectoryEntry> entries;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    std::optional<EntryKind> kind = KindOfEntry(directory_fd, *entry);
    if (kind) entries.push_back({.name = std::string(name), .kind = *kind});
  }
  if (errno != 0) return FailCall("list", path);
  return entries;
}

Result<FileStatus> PosixFilesystem::Status(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) < 0) return FailCall("stat", path);
  auto since_epoch = std::chrono::seconds(status.st_mtim.tv_sec) +
                     std::chrono::nanoseconds(status.st_mtim.tv_nsec);
  return FileStatus{.kind = KindOfMode(status.st_mode),
                    .size = static_cast<Bytes>(status.st_size),
                    .allocated = static_cast<Bytes>(status.st_blocks) * 512,
                    .device = status.st_dev,
                    .inode = status.st_ino,
                    .modified = std::chrono::system_clock::time_point(since_epoch)};
}

Result<> PosixFilesystem::SetModified(const std::string& path,
                                      std::chrono::system_clock::time_point time) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
  std::chrono::nanoseconds rest = time.time_since_epoch() - seconds;
  timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
                       {.tv_sec = seconds.count(), .tv_nsec = rest.count()}};
  return Outcome(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), "set time of",
                 path);
}

Result<Space> PosixFilesystem::SpaceOf(const std::string& path) {
  struct statvfs status{};
  if (Uninterrupted([&] { return ::statvfs(path.c_str(), &status); }) < 0) {
    return FailCall("statvfs", path);
  }
  return Space{.total = Bytes{status.f_blocks} * status.f_frsize,
               .free = Bytes{status.f_bavail} * status.f_frsize};
}

}  // namespace weighhouse::io
