#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "cache-daemon/fill/fill_context.h"
#include "cache-daemon/fill/piece_table.h"
#include "cache-daemon/fill/staged_file.h"

namespace weighhouse::fill {

/// Puts one file together from the bytes of its ranges: pieces of one buffer each, written as they
/// fill up and hashed in file order, whatever order they arrive in. A piece's buffer goes back when
/// it is both written and hashed; where buffers are short and an earlier piece keeps it from the
/// hasher, when it is written. Such a piece, and those that an earlier ingest left, are read back
/// into readers' buffers when their turn comes. Used on the strand; held by shared_ptr
/// because disk operations and hashes under way keep it (and with it the staged file) alive.
/// `Abandon` it before letting go: what is written then is recorded, to be resumed.
class FileAssembly : public std::enable_shared_from_this<FileAssembly> {
 public:
  struct Events {
    std::function<void()> on_complete;          ///< every byte is written and hashed
    std::function<void(Error)> on_disk_failed;  ///< it refused; nothing more will complete
  };
  enum class Resume {
    kUse,     ///< what an earlier ingest left is present
    kIgnore,  ///< every byte will be given again
  };
  /// Begins with reading back what is present already.
  static std::shared_ptr<FileAssembly> Start(std::shared_ptr<FillContext> context,
                                             std::unique_ptr<store::Ingest> ingest,
                                             ContentClaims content, Resume resume, Events events);
  ~FileAssembly();
  FileAssembly(const FileAssembly&) = delete;
  FileAssembly& operator=(const FileAssembly&) = delete;

  /// Takes all of `bytes` at `position`; false while there is no buffer for them, or while too much
  /// is not recorded: then the same bytes, or others from `position` on, are given again. A piece's
  /// bytes come in order.
  bool Accept(Bytes position, std::span<const std::byte> bytes);
  /// Forgets what a piece that isn't full holds, so that its buffer is free while its range waits;
  /// returns where that range must begin again: the start of the piece at `position`.
  Bytes ForgetPartialPiece(Bytes position);
  /// The first stretch at or after `from` that wasn't present at the start and so must come from
  /// the network; nothing if there is none. Where `from` isn't inside it, it begins with a piece.
  std::optional<ByteRange> NextMissing(Bytes from) const;
  /// The lowest byte position whose piece isn't whole: what the network must bring first.
  Bytes HeadPosition() const { return table_.first_missing() * piece_size_; }
  /// Of the bytes present at the start.
  Bytes resumed_bytes() const { return resumed_bytes_; }
  /// About every 100 ms: lets written pieces go whose bytes the hasher won't get for long.
  void Tick();
  /// Right after Start, with the location's: null where the file lies in nothing larger.
  void Enclose(std::shared_ptr<const source::Enclosure> enclosure);
  /// After on_complete.
  ContentDigests Digests() { return hash_.Finish(enclosure_ ? enclosure_->after : ""); }
  /// The same, compared: the content's sha256, if it is what its source and the enclosure say.
  Result<Digest> Check();
  /// As at the start.
  const ContentClaims& content() const { return content_; }
  /// What wasn't present at the start, in file order.
  const std::vector<ByteRange>& missing() const { return missing_; }
  /// After on_complete: nothing else uses it any more.
  store::Ingest& ingest() { return staged_->ingest(); }
  const std::shared_ptr<StagedFile>& staged() const { return staged_; }
  /// The bytes are wrong: they go with this object, instead of being resumed.
  void Discard() { staged_->Discard(); }
  /// No event comes any more.
  void Abandon() { abandoned_ = true; }

 private:
  struct Held {
    io::Buffer buffer;
    BufferBudget::Kind kind = BufferBudget::Kind::kNone;
    Bytes filled = 0;
  };
  FileAssembly(std::shared_ptr<FillContext> context, std::unique_ptr<store::Ingest> ingest,
               ContentClaims content, Resume resume, Events events);
  Bytes PieceBytes(size_t index) const;
  Bytes DiskBytes(size_t index) const;
  ByteRange RangeOf(size_t index) const;
  bool AcceptInto(size_t index, Bytes position, std::span<const std::byte> bytes);
  std::optional<Held> TakeBuffer(size_t index);
  bool MakeRoom();
  /// The hasher has had nothing of this file for so long that the head is stalled, not just next.
  bool IsStarved() const;
  bool ReleaseFarthest();
  void GiveBack(std::map<size_t, Held>::iterator held);
  void NotifyBuffersFreed();
  static void WakeReaders(FillContext& context);

  io::IoEngine::Done OnLoop(size_t index, void (FileAssembly::*then)(size_t, int));
  void SubmitWrite(size_t index, Held& held);
  void SubmitHashes();
  void ReadBack();
  void OnWritten(size_t index, int error_number);
  void OnRead(size_t index, int error_number);
  void OnHashed(size_t index);
  void OnDiskFailed(std::string_view operation, int error_number);
  void EndPiece(size_t index);
  void OnRecorded();
  void EndIfComplete();

  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  const ContentClaims content_;
  const Bytes size_;
  const Bytes piece_size_;
  std::vector<ByteRange> missing_;  // at the start
  Bytes resumed_bytes_ = 0;
  std::shared_ptr<StagedFile> staged_;  // shared with recordings under way
  Events events_;
  HashStream hash_;
  std::shared_ptr<const source::Enclosure> enclosure_;  // shared with locations
  BufferBudget::Use use_;
  PieceTable table_;
  std::map<size_t, Held> held_;                          // from the network
  std::map<size_t, io::Buffer> read_back_;               // from the disk
  size_t hashing_ = 0;                                   ///< pieces with the hasher
  std::chrono::steady_clock::time_point starved_since_;  ///< while there are none
  Bytes accepted_ = 0;
  bool awaits_recording_ = false;
  bool waiting_reader_ = false;
  bool abandoned_ = false;
};

}  // namespace weighhouse::fill
