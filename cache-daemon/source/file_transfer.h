#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "cache-daemon/source/strand.h"
#include "cache-daemon/source/transport.h"

namespace weighhouse::source {

/// One byte range read from a local file, piece by piece. Owned by its loop's thread, but for what
/// concerns the sink.
class FileTransfer {
 public:
  /// `url`: file:// and an absolute path without links, not percent-encoded, to a regular file.
  FileTransfer(TransferId id, const std::string& url, std::optional<ByteRange> range,
               Strand& strand, TransferSink& sink);

  enum class Turn {
    kMore,    ///< there is more to read
    kPaused,  ///< the sink refused, or nobody hears of it any more: nothing until Resume
    kEnded,   ///< see Outcome
  };
  /// Reads one piece into `buffer` and offers it to the sink; opens the file the first time.
  Turn Serve(std::span<std::byte> buffer);
  void Resume() { paused_ = false; }

  TransferId id() const { return id_; }
  bool paused() const { return paused_; }
  /// kNotFound; kOutOfRange if the file is shorter than the range or became so; kFailedPrecondition
  /// without the right to read and for what is no regular file.
  TransferEnd Outcome() const { return {.status = status_, .http_status = 0}; }

  // On the strand.
  TransferSink& sink() {
    strand_.AssertHeld();
    return *sink_;
  }
  /// Nothing reaches the sink after this.
  void Silence() {
    strand_.AssertHeld();
    sink_ = nullptr;
  }

 private:
  /// False if the sink refused or is gone.
  bool Offer(std::span<const std::byte> bytes) EXCLUDES(strand_);
  Result<> Open();
  /// 0 at the end of the range.
  Result<size_t> Read(std::span<std::byte> buffer);

  const TransferId id_;
  const std::string path_;
  const std::optional<ByteRange> range_;
  Strand& strand_;
  TransferSink* sink_ GUARDED_BY(strand_);  ///< null: silenced
  UniqueFd fd_;
  Bytes position_ = 0;
  Bytes end_ = 0;
  bool paused_ = false;
  Result<> status_;
};

}  // namespace weighhouse::source
