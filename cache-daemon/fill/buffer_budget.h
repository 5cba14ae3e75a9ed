#pragma once

#include <cstddef>

namespace weighhouse::fill {

/// How the pool's buffers are shared between the files being fetched. Pure arithmetic, so that its
/// promise can be tested exhaustively: **the head of every active file can always get on**.
///
/// Each active file owns `kGuaranteed` buffers that no other file may take; only its head (the
/// lowest piece that isn't full yet) may use them. All other buffers are shared, each file at most
/// an equal part. A head piece finds its guaranteed buffers taken only by pieces before it, which
/// need nothing more than the disk and the hasher to be given back: so nothing waits in a circle.
/// That holds where pieces before the head are read back (PieceTable) too, because readers have
/// buffers of their own.
class BufferBudget {
 public:
  static constexpr size_t kGuaranteed = 2;

  /// What one file has out.
  struct Use {
    size_t guaranteed = 0;
    size_t shared = 0;
  };
  enum class Kind { kNone, kGuaranteed, kShared };
  enum class Place { kHead, kAhead };

  /// `total` buffers for at most `max_files` files; total must be at least (kGuaranteed + 1) *
  /// max_files.
  BufferBudget(size_t total, size_t max_files);

  /// The kind of buffer that a file with `use` may take for a piece at `place` while `active_files`
  /// share the pool; kNone: wait. Counts it as taken.
  Kind Take(Use& use, Place place, size_t active_files);
  void GiveBack(Use& use, Kind kind);
  /// True if a file with `use` has its part of what is shared: only its own buffers, given back,
  /// would get it another.
  bool HasItsPart(const Use& use, size_t active_files) const {
    return use.shared >= Part(active_files);
  }

 private:
  size_t Part(size_t active_files) const;

  const size_t shared_total_;
  size_t shared_used_ = 0;
};

}  // namespace weighhouse::fill
