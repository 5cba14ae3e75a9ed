#include <fcntl.h>
#include <unistd.h>

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

/// What the blob at `path` hashes to, or why it can't be read (an error of the disk is a finding,
/// not a failure). kCancelled if `after_piece` says so.
Result<std::string> HashFile(io::Filesystem& filesystem, const std::string& path,
                             const std::function<bool(Bytes)>& after_piece) {
  io::OpenedFile file = TRY(filesystem.OpenForRead(path, io::IoMode::kDirect));
  std::unique_ptr<std::byte, FreeMemory> piece(
      static_cast<std::byte*>(std::aligned_alloc(kAlignment, kPiece)));
  if (piece == nullptr) return Fail(Code::kResourceExhausted, "no memory to read blobs with");
  Hasher hasher(Hasher::Algorithm::kSha256);
  Bytes offset = 0;
  while (true) {
    ForgetCached(file, offset, kPiece);
    ssize_t size = ::pread(file.fd.get(), piece.get(), kPiece, static_cast<off_t>(offset));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fmt::format("unreadable at byte {}: {}", offset, std::strerror(errno));
    hasher.Update(std::span(piece.get(), static_cast<size_t>(size)));
    ForgetCached(file, offset, kPiece);
    bool go_on = !after_piece || after_piece(static_cast<Bytes>(size));
    if (!go_on) return Fail(Code::kCancelled, "the verification was stopped");
    offset += static_cast<Bytes>(size);
    // Only the end of the file gives less than was asked; O_DIRECT couldn't go on from an odd
    // offset.
    if (static_cast<size_t>(size) < kPiece) return hasher.FinishHex();
  }
}

}  // namespace

Result<std::optional<BadBlob>> StoreImpl::VerifyBlob(
    const Digest& sha256, const std::function<bool(Bytes)>& after_piece) {
  uint64_t version = 0;
  {
    MutexLock lock(state_->mutex);
    version = state_->index.blobs.Version(sha256);
  }
  if (version == 0) return Fail(Code::kNotFound, fmt::format("blob {} is not here", sha256.Hex()));
  std::string path = layout_.Blob(sha256);
  auto hashed = HashFile(filesystem_, path, after_piece);
  bool missing = !hashed.has_value() && hashed.error().code == Code::kNotFound;
  if (!hashed.has_value() && !missing) {
    return std::unexpected(std::move(hashed).error().Within("verify " + path));
  }
  std::string found = missing ? "missing" : std::move(hashed).value();
  if (found == sha256.Hex()) return std::nullopt;
  std::vector<std::string> paths = TRY(Quarantine(sha256, version));
  return BadBlob{.found = std::move(found), .paths = std::move(paths)};
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
