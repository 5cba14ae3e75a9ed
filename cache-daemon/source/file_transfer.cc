#include "cache-daemon/source/file_transfer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/local_file.h"

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
    : id_(id), path_(LocalPathOf(url)), range_(range), strand_(strand), sink_(&sink) {}

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
  LocalFile file = TRY(OpenLocalFile(path_));
  fd_ = std::move(file.fd);
  position_ = range_ ? range_->begin : 0;
  end_ = range_ ? range_->end : file.size;
  if (end_ > file.size) return Shorter(path_, file.size);
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
