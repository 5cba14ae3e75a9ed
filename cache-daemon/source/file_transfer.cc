#include "cache-daemon/source/file_transfer.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

std::unexpected<Error> Shorter(const std::string& path, Bytes size) {
  return Fail(
      Code::kOutOfRange,
      fmt::format("{}: has only {} bytes: it changed since it was listed", Printable(path), size));
}

}  // namespace

FileTransfer::FileTransfer(TransferId id, const std::string& url, std::optional<ByteRange> range,
                           Strand& strand, TransferSink& sink)
    : id_(id),
      path_(url.substr(std::string_view("file://").size())),
      range_(range),
      strand_(strand),
      sink_(&sink) {}

bool FileTransfer::Offer(std::span<const std::byte> bytes) {
  MutexLock lock(strand_);
  return sink_ != nullptr && sink_->OnBytes(bytes);
}

FileTransfer::Turn FileTransfer::Serve(std::span<std::byte> buffer) {
  if (!fd_) status_ = Open();
  if (!status_) return Turn::kEnded;
  Result<size_t> read = Read(buffer);
  if (!read) {
    status_ = std::unexpected(std::move(read).error());
    return Turn::kEnded;
  }
  if (*read == 0) return Turn::kEnded;
  paused_ = !Offer(buffer.first(*read));
  if (paused_) return Turn::kPaused;
  position_ += *read;
  return position_ == end_ ? Turn::kEnded : Turn::kMore;
}

Result<> FileTransfer::Open() {
  // O_NONBLOCK: opening a fifo must not hold the loop up. No link anywhere: the path was found to
  // lie below an allowed directory, and a directory that became a link since may lead elsewhere.
  open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_NO_SYMLINKS};
  fd_ = UniqueFd(
      static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path_.c_str(), &how, sizeof(how))));
  if (!fd_ && errno == ELOOP) {
    return Fail(Code::kOutOfRange,
                fmt::format("{}: became a link since it was listed", Printable(path_)));
  }
  if (!fd_) return FailErrno(errno, fmt::format("open {}", Printable(path_)));
  struct stat info = {};
  if (fstat(fd_.get(), &info) != 0)
    return FailErrno(errno, fmt::format("stat {}", Printable(path_)));
  if (!S_ISREG(info.st_mode)) {
    return Fail(Code::kFailedPrecondition, fmt::format("{}: is no regular file", Printable(path_)));
  }
  auto size = static_cast<Bytes>(info.st_size);
  position_ = range_ ? range_->begin : 0;
  end_ = range_ ? range_->end : size;
  if (end_ > size) return Shorter(path_, size);
  return {};
}

Result<size_t> FileTransfer::Read(std::span<std::byte> buffer) {
  size_t wanted = std::min<Bytes>(buffer.size(), end_ - position_);
  if (wanted == 0) return 0;
  ssize_t got = -1;
  do {
    got = pread(fd_.get(), buffer.data(), wanted, static_cast<off_t>(position_));
  } while (got < 0 && errno == EINTR);
  if (got < 0) return FailErrno(errno, fmt::format("read {}", Printable(path_)));
  if (got == 0) return Shorter(path_, position_);
  return static_cast<size_t>(got);
}

}  // namespace weighhouse::source
