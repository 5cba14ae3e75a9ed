#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

constexpr size_t kPiece = size_t{4} << 20;
constexpr size_t kAlignment = 4096;

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};

/// Where O_DIRECT can't be had: what the page cache has of the range is not what the disk has, and
/// what is read once pushes out what pods read.
void ForgetCached(const io::OpenedFile& file, Bytes begin, Bytes length) {
  if (file.mode == io::IoMode::kDirect) return;
  static_cast<void>(::posix_fadvise(file.fd.get(), static_cast<off_t>(begin),
                                    static_cast<off_t>(length), POSIX_FADV_DONTNEED));
}

/// The disk says that these bytes are lost. Any other failure of a read, such as for want of
/// memory, says nothing of them.
bool SaysDamaged(int error_number) {
  return error_number == EIO || error_number == EUCLEAN || error_number == EBADMSG ||
         error_number == EISDIR;
}

/// A part of a blob, into which it is read.
class Piece {
 public:
  static Result<Piece> Allocate() {
    Piece piece;
    piece.memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, kPiece)));
    if (piece.memory_ == nullptr) {
      return Fail(Code::kResourceExhausted, "no memory to read blobs with");
    }
    return piece;
  }

  /// Fills it with what `file` has from `offset` on, which is aligned. Not enough only at the
  /// file's end.
  Result<> Read(const io::OpenedFile& file, Bytes offset) {
    struct stat status = {};
    if (::fstat(file.fd.get(), &status) < 0) return FailErrno(errno, "fstat");
    auto size = static_cast<Bytes>(status.st_size);
    Bytes rest = size - std::min(size, offset);
    size_ = 0;
    damage_.clear();
    ForgetCached(file, offset, kPiece);
    while (true) {
      bool done = TRY(ReadOn(file, offset, std::min<Bytes>(rest, kPiece)));
      if (done) break;
    }
    ForgetCached(file, offset, kPiece);
    at_end_ = rest <= kPiece;
    return {};
  }

  std::span<const std::byte> bytes() const { return {memory_.get(), size_}; }
  bool at_end() const { return at_end_; }
  /// Why it can't be read, if it can't.
  const std::string& damage() const { return damage_; }

 private:
  /// One read; true once there is nothing more to read.
  Result<bool> ReadOn(const io::OpenedFile& file, Bytes offset, Bytes wanted) {
    // O_DIRECT can't go on from an odd offset.
    size_t begin = size_ / kAlignment * kAlignment;
    ssize_t got = ::pread(file.fd.get(), memory_.get() + begin, kPiece - begin,
                          static_cast<off_t>(offset + begin));
    if (got < 0 && errno == EINTR) return false;
    if (got < 0 && !SaysDamaged(errno)) return FailErrno(errno, "read");
    if (got < 0) {
      damage_ = fmt::format("unreadable at byte {}: {}", offset + begin, std::strerror(errno));
      return true;
    }
    size_t end = begin + static_cast<size_t>(got);
    bool stuck = end <= size_ && size_ < wanted;
    if (stuck) {
      return Fail(Code::kInternal,
                  fmt::format("read: it ended at byte {}, before its end", offset + size_));
    }
    size_ = std::max(size_, end);
    return size_ >= wanted;
  }

  std::unique_ptr<std::byte, FreeMemory> memory_;
  size_t size_ = 0;
  bool at_end_ = false;
  std::string damage_;
};

}  // namespace

Result<std::optional<BadBlob>> StoreImpl::VerifyBlob(
    const Digest& sha256, const std::function<bool(Bytes)>& after_piece) {
  uint64_t version = 0;
  {
    MutexLock lock(state_->mutex);
    version = state_->index.blobs.Version(sha256);
  }
  if (version == 0) return Fail(Code::kNotFound, fmt::format("blob {} is not here", sha256.Hex()));
  auto hashed = HashBlob(sha256, version, after_piece);
  if (!hashed.has_value()) {
    return std::unexpected(std::move(hashed).error().Within("verify " + layout_.Blob(sha256)));
  }
  if (*hashed == sha256.Hex()) return std::nullopt;
  BadBlob bad = TRY(Quarantine(sha256, version, std::move(*hashed)));
  return std::optional(std::move(bad));
}

// The file is opened for each piece: between two of them `after_piece` may wait for long, and what
// is evicted meanwhile gives its space back only once nobody has it open.
Result<std::string> StoreImpl::HashBlob(const Digest& sha256, uint64_t version,
                                        const std::function<bool(Bytes)>& after_piece) {
  Piece piece = TRY(Piece::Allocate());
  Hasher hasher(Hasher::Algorithm::kSha256);
  Bytes offset = 0;
  do {
    auto file = filesystem_.OpenForRead(layout_.Blob(sha256), io::IoMode::kDirect);
    // Whoever removes it has said so in the index before.
    TRY(CheckVersion(sha256, version));
    if (!file.has_value() && file.error().code == Code::kNotFound) return "missing";
    if (!file.has_value()) return std::unexpected(std::move(file).error());
    TRY(piece.Read(*file, offset));
    file->fd.reset();
    if (!piece.damage().empty()) return piece.damage();
    hasher.Update(piece.bytes());
    offset += piece.bytes().size();
    bool go_on = !after_piece || after_piece(piece.bytes().size());
    if (!go_on) return Fail(Code::kCancelled, "the verification was stopped");
  } while (!piece.at_end());
  return hasher.FinishHex();
}

Result<> StoreImpl::CheckVersion(const Digest& sha256, uint64_t version) const {
  MutexLock lock(state_->mutex);
  if (state_->index.blobs.Version(sha256) == version) return {};
  return Fail(Code::kNotFound,
              fmt::format("blob {} is no longer the file that was read", sha256.Hex()));
}

Result<UniqueFd> StoreImpl::OpenBlob(const Digest& sha256) const {
  io::OpenedFile file = TRY(filesystem_.OpenForRead(layout_.Blob(sha256), io::IoMode::kBuffered));
  return std::move(file.fd);
}

std::vector<Store::BlobUse> StoreImpl::Blobs(const std::string& snapshot_id) const {
  MutexLock lock(state_->mutex);
  std::map<Digest, BlobUse> uses;
  for (const auto& [id, entry] : state_->index.catalog.entries()) {
    if (!snapshot_id.empty() && id != snapshot_id) continue;
    for (const SnapshotFile& file : entry.snapshot.files) {
      if (!file.blob) continue;
      BlobUse& use = uses[*file.blob];
      use.sha256 = *file.blob;
      use.size = file.listed.size;
      use.paths.push_back(fmt::format("{}/{}", id, file.listed.path));
    }
  }
  std::vector<BlobUse> all;
  all.reserve(uses.size());
  for (auto& [sha256, use] : uses) all.push_back(std::move(use));
  return all;
}

}  // namespace weighhouse::store
