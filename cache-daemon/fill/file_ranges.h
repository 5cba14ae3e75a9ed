#pragma once

#include <deque>
#include <list>
#include <vector>

#include "cache-daemon/fill/range_transfer.h"

namespace weighhouse::fill {

/// The ranges of one file, in file order: those begun and not complete, and what is still to be cut
/// into ranges. On the strand.
class FileRanges {
 public:
  FileRanges(RangeOwner& owner, source::Transport& transport)
      : owner_(owner), transport_(transport) {}

  /// Ends all transfers, and begins with what is `missing` (in file order).
  void Reset(std::vector<ByteRange> missing);
  /// The lowest range that waits to be started; null: none does.
  RangeTransfer* FirstIdle();
  /// Whether a part of the file below `window_end` has no range yet.
  bool CanCut(Bytes window_end) const;
  /// A new range of at most `size` bytes, up to a multiple of `size`, where what has none begins.
  RangeTransfer& Cut(Bytes size);
  void Erase(const RangeTransfer& range);
  /// All that wait because they failed may be started at once, as if they hadn't.
  void ForgetFailures();
  /// The range that waits for the end of its back-off and begins at `begin`; null: none does.
  RangeTransfer* InBackoff(Bytes begin);
  /// The one that holds the lowest missing byte; null: none is begun.
  RangeTransfer* Head() { return ranges_.empty() ? nullptr : &ranges_.front(); }
  /// The last one with a transfer, the head left out; null: none has.
  RangeTransfer* LastRunning();
  bool AnyActive() const;
  void Resume();
  /// The same, beginning with another one each time, where there isn't enough for all.
  void ResumeInTurn();

 private:
  RangeOwner& owner_;
  source::Transport& transport_;
  std::list<RangeTransfer> ranges_;
  std::deque<ByteRange> missing_;
  size_t turn_ = 0;
};

}  // namespace weighhouse::fill
