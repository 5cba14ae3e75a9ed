#pragma once

#include <span>

#include "cache-daemon/source/transport.h"

namespace weighhouse::fill {

class RangeTransfer;

/// The file that a range belongs to, as the range sees it. On the loop thread.
class RangeOwner {
 public:
  virtual ~RangeOwner() = default;
  /// As TransferSink::OnBytes, with the position in the file.
  virtual bool AcceptBytes(RangeTransfer& range, std::span<const std::byte> bytes) = 0;
  /// The range's transfer ended. The owner may destroy the range in it.
  virtual void RangeEnded(RangeTransfer& range, const source::TransferEnd& end) = 0;
};

/// One range of a file and the transfer that brings it now, if any. On the loop thread.
class RangeTransfer final : public source::TransferSink {
 public:
  enum class State {
    kIdle,     ///< made, or its back-off is over: waits to be started
    kActive,   ///< bytes are on their way
    kPaused,   ///< the transfer offered bytes that found no buffer
    kBackoff,  ///< failed; a timer leads back to kIdle
  };

  enum class Extent {
    kRange,
    kWholeFile,  ///< asked for without a Range header
  };

  RangeTransfer(RangeOwner& owner, ByteRange range)
      : owner_(owner), range_(range), position_(range.begin) {}

  bool OnBytes(std::span<const std::byte> bytes) override {
    if (owner_.AcceptBytes(*this, bytes)) return true;
    state_ = State::kPaused;
    return false;
  }
  void OnEnd(const source::TransferEnd& end) override { owner_.RangeEnded(*this, end); }

  /// `generation` tells later which location the transfer used.
  void Start(source::Transport& transport, const source::FileLocation& location, int generation,
             Extent extent) {
    state_ = State::kActive;
    generation_ = generation;
    std::optional<ByteRange> wanted;
    if (extent == Extent::kRange) wanted = ByteRange{.begin = position_, .end = range_.end};
    id_ = transport.Start(location, wanted, *this);
  }
  void Resume(source::Transport& transport) {
    state_ = State::kActive;
    transport.Resume(id_);
  }
  void Cancel(source::Transport& transport) {
    if (state_ == State::kActive || state_ == State::kPaused) transport.Cancel(id_);
    state_ = State::kIdle;
  }
  void Advance(Bytes count) {
    position_ += count;
    failures_ = 0;
  }

  State state() const { return state_; }
  void set_state(State state) { state_ = state; }
  const ByteRange& range() const { return range_; }
  Bytes position() const { return position_; }
  void set_position(Bytes position) { position_ = position; }
  bool Complete() const { return position_ == range_.end; }
  /// Failures in a row without a byte between them.
  int failures() const { return failures_; }
  int CountFailure() { return ++failures_; }
  int generation() const { return generation_; }

 private:
  RangeOwner& owner_;
  const ByteRange range_;
  Bytes position_;
  State state_ = State::kIdle;
  source::TransferId id_ = 0;
  int failures_ = 0;
  int generation_ = 0;
};

}  // namespace weighhouse::fill
