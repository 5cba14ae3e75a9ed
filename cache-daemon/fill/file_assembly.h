#pragma once

#include <functional>
#include <map>
#include <memory>

#include "cache-daemon/fill/fill_context.h"

namespace weighhouse::fill {

/// Puts one file together from the bytes of its ranges: pieces of one buffer each, written as they
/// fill up and hashed in file order, whatever order they arrive in. A piece's buffer goes back when
/// it is both written and hashed. Owned by the loop thread; held by shared_ptr because writes and
/// hashes under way keep it (and with it the staged file) alive. `Abandon` it before letting go.
class FileAssembly : public std::enable_shared_from_this<FileAssembly> {
 public:
  struct Events {
    std::function<void()> on_complete;           ///< every byte is written and hashed
    std::function<void(Error)> on_write_failed;  ///< the disk refused; nothing more will complete
  };
  FileAssembly(std::shared_ptr<FillContext> context, std::unique_ptr<store::Ingest> ingest,
               const ListedFile& file, Events events);
  ~FileAssembly();
  FileAssembly(const FileAssembly&) = delete;
  FileAssembly& operator=(const FileAssembly&) = delete;

  /// Takes all of `bytes` at `position`, or none (false) while there is no buffer for them. Each
  /// byte of the file must be given once; a piece's bytes in order.
  bool Accept(Bytes position, std::span<const std::byte> bytes);
  /// Forgets what a piece that isn't full holds, so that its buffer is free while its range waits;
  /// returns where that range must begin again: the start of the piece at `position`.
  Bytes ForgetPartialPiece(Bytes position);
  /// The lowest byte position whose piece isn't full: what the hasher waits for.
  Bytes HeadPosition() const { return next_to_hash_ * piece_size_; }
  /// After on_complete.
  ContentDigests Digests() { return hash_.Finish(); }
  store::Ingest& ingest() { return *ingest_; }
  /// No event comes any more.
  void Abandon() { abandoned_ = true; }

 private:
  struct Piece {
    io::Buffer buffer;
    BufferBudget::Kind kind = BufferBudget::Kind::kNone;
    Bytes filled = 0;
    bool written = false;
    bool hashed = false;
  };
  Bytes PieceBytes(size_t index) const;
  bool EnsureBuffers(size_t first, size_t last);
  void SubmitWrite(size_t index, Piece& piece);
  void SubmitHashes();
  void OnWritten(size_t index, int error_number);
  void OnHashed(size_t index);
  void ReleaseIfDone(size_t index);

  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  const std::unique_ptr<store::Ingest> ingest_;
  const Bytes size_;
  const Bytes piece_size_;
  const size_t piece_count_;
  Events events_;
  HashStream hash_;
  BufferBudget::Use use_;
  std::map<size_t, Piece> pieces_;
  size_t next_to_hash_ = 0;
  size_t pieces_done_ = 0;
  bool abandoned_ = false;
};

}  // namespace weighhouse::fill
