#pragma once

#include <memory>
#include <span>
#include <utility>

#include "cache-daemon/fill/connection.h"
#include "cache-daemon/source/transport.h"

namespace weighhouse::fill {

class RangeTransfer;

/// The file that a range belongs to, as the range sees it. On the strand.
class RangeOwner {
 public:
  virtual ~RangeOwner() = default;
  /// As TransferSink::OnBytes, with the position in the file.
  virtual bool AcceptBytes(RangeTransfer& range, std::span<const std::byte> bytes) = 0;
  /// The range has no transfer any more. The owner may destroy the range in it.
  virtual void RangeEnded(RangeTransfer& range, const source::TransferEnd& end) = 0;
  enum class Hedge {
    kOvertook,  ///< it goes on alone
    kUseless,   ///< the first was no slower, or it failed
  };
  /// What the range's hedge was good for. The range goes on, or RangeEnded follows.
  virtual void HedgeSettled(Hedge outcome) = 0;
};

/// One range of a file and the transfer that brings it now, if any: two, while a hedge races the
/// first. Each byte is handed on once, by the transfer that brings it first; when the hedge does,
/// the first is cancelled. On the strand.
class RangeTransfer {
 public:
  enum class State {
    kIdle,     ///< made, or its back-off is over: waits to be started
    kActive,   ///< bytes are on their way
    kPaused,   ///< every transfer offered bytes that found no buffer
    kBackoff,  ///< failed; a timer leads back to kIdle
  };

  enum class Extent {
    kRange,
    kWholeFile,  ///< asked for without a Range header
  };

  RangeTransfer(RangeOwner& owner, source::Transport& transport, ByteRange range)
      : owner_(owner), transport_(transport), range_(range), position_(range.begin) {}

  /// `generation` tells later which location the transfer used.
  void Start(const source::FileLocation& location, int generation, Extent extent,
             std::unique_ptr<Connection> connection);
  /// A second transfer for what is missing, while the first goes on.
  void StartHedge(const source::FileLocation& location, std::unique_ptr<Connection> connection);
  void Resume();
  /// Ends its transfers; what they brought stays.
  void Cancel();
  void Advance(Bytes count) { position_ += count; }

  State state() const;
  /// Without a transfer only: kIdle or kBackoff.
  void set_backoff(bool backoff) { backoff_ = backoff; }
  bool running() const { return first_ != nullptr; }
  bool hedged() const { return hedge_ != nullptr; }
  /// See Connection::IsLagging.
  bool IsLagging() const { return first_ && first_->connection->IsLagging(); }
  const ByteRange& range() const { return range_; }
  Bytes position() const { return position_; }
  void set_position(Bytes position) { position_ = position; }
  bool Complete() const { return position_ == range_.end; }
  /// Failures in a row at the same position: what comes and must come again is no progress.
  int CountFailure() {
    if (std::exchange(failed_at_, position_) != position_) failures_ = 0;
    return ++failures_;
  }
  /// They were another origin's.
  void ForgetFailures() {
    failures_ = 0;
    backoff_ = false;
  }
  int generation() const { return generation_; }

 private:
  struct Carrier final : source::TransferSink {
    Carrier(RangeTransfer& its_range, std::unique_ptr<Connection> its_connection)
        : range(its_range), cursor(its_range.position_), connection(std::move(its_connection)) {}
    bool OnBytes(std::span<const std::byte> bytes) override {
      return range.TakeBytes(*this, bytes);
    }
    void OnEnd(const source::TransferEnd& end) override { range.TransferEnded(*this, end); }

    RangeTransfer& range;
    Bytes cursor;  ///< where its next byte belongs
    std::unique_ptr<Connection> connection;
    source::TransferId id = 0;
    bool paused = false;
  };
  bool TakeBytes(Carrier& carrier, std::span<const std::byte> bytes);
  void TransferEnded(Carrier& carrier, const source::TransferEnd& end);
  void Resume(Carrier& carrier);
  void Drop(std::unique_ptr<Carrier>& carrier);

  RangeOwner& owner_;
  source::Transport& transport_;
  const ByteRange range_;
  Bytes position_;
  std::unique_ptr<Carrier> first_;
  std::unique_ptr<Carrier> hedge_;  ///< only beside a first
  bool backoff_ = false;
  int failures_ = 0;
  Bytes failed_at_ = 0;
  int generation_ = 0;
};

}  // namespace weighhouse::fill
