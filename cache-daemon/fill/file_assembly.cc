#include "cache-daemon/fill/file_assembly.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/fault.h"

namespace weighhouse::fill {

FileAssembly::FileAssembly(std::shared_ptr<FillContext> context,
                           std::unique_ptr<store::Ingest> ingest, const ListedFile& file,
                           Events events)
    : context_(std::move(context)),
      ingest_(std::move(ingest)),
      size_(file.size),
      piece_size_(context_->parts.buffers.buffer_size()),
      piece_count_((file.size + piece_size_ - 1) / piece_size_),
      events_(std::move(events)),
      hash_(*context_->hashes, file.identity.kind, file.size) {}

FileAssembly::~FileAssembly() {
  for (auto& [index, piece] : pieces_) context_->budget.GiveBack(use_, piece.kind);
}

Bytes FileAssembly::PieceBytes(size_t index) const {
  return std::min<Bytes>(piece_size_, size_ - index * piece_size_);
}

bool FileAssembly::EnsureBuffers(size_t first, size_t last) {
  // Bytes that begin in the head piece fill it up before they reach the next one, so that one
  // counts as head too: else a head piece that lacks its last bytes could wait for a buffer that
  // only its own completion frees.
  auto place = first == next_to_hash_ ? BufferBudget::Place::kHead : BufferBudget::Place::kAhead;
  for (size_t index = first; index <= last; ++index) {
    if (pieces_.contains(index)) continue;
    BufferBudget::Kind kind = context_->budget.Take(use_, place, context_->active_files);
    if (kind == BufferBudget::Kind::kNone) return false;
    std::optional<io::Buffer> buffer = context_->parts.buffers.TryTake();
    if (!buffer) {
      context_->budget.GiveBack(use_, kind);
      return false;
    }
    pieces_[index] = Piece{.buffer = std::move(*buffer), .kind = kind};
  }
  return true;
}

bool FileAssembly::Accept(Bytes position, std::span<const std::byte> bytes) {
  if (bytes.empty()) return true;
  CHECK(position + bytes.size() <= size_);
  size_t first = position / piece_size_;
  size_t last = (position + bytes.size() - 1) / piece_size_;
  if (!EnsureBuffers(first, last)) return false;
  for (size_t index = first; index <= last; ++index) {
    Piece& piece = pieces_.at(index);
    CHECK(index * piece_size_ + piece.filled == position);
    size_t count = std::min<Bytes>(bytes.size(), PieceBytes(index) - piece.filled);
    std::memcpy(piece.buffer.memory().data() + piece.filled, bytes.data(), count);
    piece.filled += count;
    position += count;
    bytes = bytes.subspan(count);
    if (piece.filled == PieceBytes(index)) SubmitWrite(index, piece);
  }
  SubmitHashes();
  return true;
}

Bytes FileAssembly::ForgetPartialPiece(Bytes position) {
  size_t index = position / piece_size_;
  auto found = pieces_.find(index);
  if (found == pieces_.end() || found->second.filled == PieceBytes(index)) return position;
  context_->budget.GiveBack(use_, found->second.kind);
  pieces_.erase(found);
  return index * piece_size_;
}

void FileAssembly::SubmitWrite(size_t index, Piece& piece) {
  Bytes length = piece.filled;
  if (ingest_->direct()) {
    // O_DIRECT takes whole blocks only; Commit cuts the padding off.
    Bytes padded = (length + io::BufferPool::kAlignment - 1) / io::BufferPool::kAlignment *
                   io::BufferPool::kAlignment;
    std::memset(piece.buffer.memory().data() + length, 0, padded - length);
    length = padded;
  }
  context_->writes.Begin();
  auto done = [self = shared_from_this(), index](int error_number) mutable {
    FillContext& context = *self->context_;
    std::shared_ptr<FillContext> keep = self->context_;  // the counter outlives the last assembly
    context.parts.transport.Post(
        [self = std::move(self), index, error_number] { self->OnWritten(index, error_number); });
    keep->writes.End();
  };
  context_->parts.io.Write(ingest_->fd(), index * piece_size_,
                               piece.buffer.memory().first(length), std::move(done));
}

void FileAssembly::SubmitHashes() {
  while (next_to_hash_ < piece_count_) {
    auto found = pieces_.find(next_to_hash_);
    if (found == pieces_.end() || found->second.filled < PieceBytes(next_to_hash_)) return;
    size_t index = next_to_hash_++;
    auto done = [self = shared_from_this(), index] {
      self->context_->parts.transport.Post([self, index] { self->OnHashed(index); });
    };
    hash_.Add(found->second.buffer.memory().first(found->second.filled), std::move(done));
  }
}

void FileAssembly::OnWritten(size_t index, int error_number) {
  if (index == 0) FaultPoint("fill.first_write_done");
  if (index + 1 == piece_count_) FaultPoint("fill.last_write_done");
  pieces_.at(index).written = error_number == 0;
  if (error_number != 0) {
    // The piece keeps its buffer until the assembly goes: nothing more can complete.
    if (!std::exchange(abandoned_, true)) {
      Error error = FailErrno(error_number, fmt::format("write {}", ingest_->path())).error();
      events_.on_write_failed(std::move(error));
    }
    return;
  }
  ReleaseIfDone(index);
}

void FileAssembly::OnHashed(size_t index) {
  pieces_.at(index).hashed = true;
  ReleaseIfDone(index);
}

void FileAssembly::ReleaseIfDone(size_t index) {
  auto found = pieces_.find(index);
  if (!found->second.written || !found->second.hashed) return;
  context_->budget.GiveBack(use_, found->second.kind);
  pieces_.erase(found);
  ++pieces_done_;
  if (!context_->stopped) context_->on_buffers_freed();
  if (pieces_done_ < piece_count_ || abandoned_) return;
  FaultPoint("fill.hashed");
  abandoned_ = true;
  events_.on_complete();
}

}  // namespace weighhouse::fill
