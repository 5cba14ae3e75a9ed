#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/units.h"

namespace weighhouse::fill {

/// Where each piece of one file is on its way from the network to the disk and through the hasher,
/// and what may happen next. Pure bookkeeping, so that its promise can be tested exhaustively:
/// **whatever the order of events, something can always happen until all pieces are done**. Not
/// thread-safe.
class PieceTable {
 public:
  /// So many pieces of a file are read back at the same moment: while one is hashed, the next is
  /// read.
  static constexpr size_t kReadAhead = 2;

  explicit PieceTable(size_t count) : pieces_(count) {}

  /// A missing piece is on the disk from an earlier ingest. Before anything else.
  void Resume(size_t index);
  /// A missing piece gets a buffer.
  void Hold(size_t index);
  /// A piece that isn't whole loses its buffer.
  void Forget(size_t index);
  /// All bytes of a held piece are in its buffer: it may be written and hashed.
  void Fill(size_t index);
  void Written(size_t index);
  void Hashed(size_t index);
  /// True once all its bytes are here, wherever.
  bool IsWhole(size_t index) const { return pieces_[index].place >= Place::kWhole; }
  /// True once it is written and hashed: its buffer isn't needed any more.
  bool IsDone(size_t index) const { return pieces_[index].place == Place::kDone; }

  /// Hands out the next piece in file order if its bytes are in memory.
  std::optional<size_t> TakeNextToHash();

  /// The next piece to read back: it is on the disk only, and all that must be hashed before it is
  /// in memory or being read. So who has a reader's buffer waits for disk and hasher, never for the
  /// network.
  std::optional<size_t> NextToRead() const;
  void BeginRead(size_t index);
  void Read(size_t index);

  /// May this piece give its buffer back before it is hashed? Only if it is written, and an earlier
  /// one that isn't in memory keeps it from the hasher; a slow hasher is no reason, for reading
  /// back would cost it even more.
  bool MayRelease(size_t index) const;
  void Release(size_t index);

  /// The lowest piece that isn't whole: the count if there is none.
  size_t first_missing() const { return first_missing_; }
  bool AllDone() const { return done_ == pieces_.size(); }

  auto operator<=>(const PieceTable&) const = default;

 private:
  enum class Place : uint8_t {
    kMissing,  ///< from the start, or from kFilling by Forget
    kFilling,  ///< from kMissing: in a buffer, bytes arrive
    kWhole,    ///< from kFilling: in a buffer
    kDisk,     ///< from kMissing by Resume, or from kWhole by Release
    kReading,  ///< from kDisk: on its way into a reader's buffer
    kRead,     ///< from kReading: in a reader's buffer
    kDone,     ///< from kWhole or kRead: written and hashed
  };
  struct Piece {
    Place place = Place::kMissing;
    bool written = false;
    bool hashed = false;
    auto operator<=>(const Piece&) const = default;
  };
  void Move(size_t index, Place from, Place to);
  void EndIfDone(size_t index);

  std::vector<Piece> pieces_;
  size_t first_missing_ = 0;
  size_t next_to_hash_ = 0;
  size_t reading_ = 0;  ///< pieces in readers' buffers
  size_t done_ = 0;
};

/// The pieces of a file of `size` bytes that lie wholly inside `ranges` (sorted, disjoint), as
/// ranges in file order.
std::vector<ByteRange> WholePieces(const std::vector<ByteRange>& ranges, Bytes size,
                                   Bytes piece_size);

/// What `ranges` (sorted, disjoint) leave of [0, size).
std::vector<ByteRange> Gaps(const std::vector<ByteRange>& ranges, Bytes size);

}  // namespace weighhouse::fill
