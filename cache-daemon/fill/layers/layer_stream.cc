#include "cache-daemon/fill/layers/layer_stream.h"

#include <algorithm>
#include <future>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/thread.h"

namespace weighhouse::fill {
namespace {

using std::chrono::steady_clock;

/// So much is taken from the connection before somebody asks for it.
constexpr size_t kAhead = 4 * kMiB;
/// So much is worth waking somebody up.
constexpr size_t kWorthwhile = 256 * kKiB;

std::unexpected<Error> Stopped() {
  return Fail(Code::kCancelled, "the reading of a layer was stopped");
}

}  // namespace

/// One request and what it brought. What isn't said otherwise is used on the strand.
class LayerStream::Transfer final : public source::TransferSink,
                                    public BandwidthUser,
                                    public std::enable_shared_from_this<Transfer> {
 public:
  Transfer(std::shared_ptr<FillContext> context, Blob blob, Bytes skip, Bytes brought)
      : context_(std::move(context)), blob_(std::move(blob)), skip_(skip), brought_(brought) {}

  void Start(const source::FileLocation& location, std::optional<ByteRange> range) {
    if (!context_->stopped) id_ = context_->parts.transport.Start(location, range, *this);
  }
  void Cancel() {
    context_->parts.transport.Cancel(id_);
    context_->bandwidth.Leave(*this);
  }
  void Resume() EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      if (!std::exchange(paused_, false)) return;
    }
    context_->parts.transport.Resume(id_);
  }

  bool OnBytes(std::span<const std::byte> bytes) override EXCLUDES(mutex_);
  void OnEnd(const source::TransferEnd& end) override EXCLUDES(mutex_);
  void OnBandwidth() override { Resume(); }

  struct Received {
    std::vector<std::byte> bytes;
    std::optional<Result<>> end;  ///< how the transfer ended, where no bytes are left of it
  };
  /// Any thread. Waits for bytes, or the end. Errors: kCancelled once `stop` is asked for, and
  /// what `least_rate` says.
  Result<Received> Wait(const std::stop_token& stop, LeastRate& least_rate) EXCLUDES(mutex_);
  /// Any thread: bytes, those that it was told of when it was made included.
  Bytes brought() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return brought_;
  }

 private:
  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  const Blob blob_;
  Bytes skip_;  // bytes that came before
  source::TransferId id_ = 0;

  mutable Mutex mutex_;
  ConditionVariable changed_;
  bool paused_ GUARDED_BY(mutex_) = false;
  Bytes brought_ GUARDED_BY(mutex_);
  std::vector<std::byte> received_ GUARDED_BY(mutex_);
  std::optional<Result<>> end_ GUARDED_BY(mutex_);
};

bool LayerStream::Transfer::OnBytes(std::span<const std::byte> bytes) {
  BandwidthLimit::Claim claim{.fill = blob_.fill, .priority = blob_.priority};
  bool full = false;
  {
    MutexLock lock(mutex_);
    full = !received_.empty() && received_.size() + bytes.size() > kAhead;
  }
  if (full || !context_->bandwidth.MayTake(*this, claim)) {
    MutexLock lock(mutex_);
    paused_ = true;
    return false;
  }
  context_->bandwidth.Took(*this, claim, bytes.size());
  context_->bytes_fetched += bytes.size();
  context_->parts.metrics.OnReceived(blob_.source, bytes.size());
  auto skipped = std::min<Bytes>(skip_, bytes.size());
  skip_ -= skipped;
  MutexLock lock(mutex_);
  brought_ += bytes.size();
  received_.insert(received_.end(), bytes.begin() + static_cast<std::ptrdiff_t>(skipped),
                   bytes.end());
  if (received_.size() >= kWorthwhile) changed_.NotifyAll();
  return true;
}

void LayerStream::Transfer::OnEnd(const source::TransferEnd& end) {
  context_->bandwidth.Leave(*this);
  MutexLock lock(mutex_);
  end_ = end.status;
  changed_.NotifyAll();
}

Result<LayerStream::Transfer::Received> LayerStream::Transfer::Wait(const std::stop_token& stop,
                                                                    LeastRate& least_rate) {
  std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  Received got;
  {
    MutexLock lock(mutex_);
    bool wanted = false;  // not before, by who unpacks
    while (received_.size() < kWorthwhile && !end_ && !stop.stop_requested()) {
      std::optional<Error> too_slow =
          least_rate.Look(context_->parts.clock.Steady(), brought_, wanted && !paused_,
                          context_->stall_timeout.load());
      if (too_slow) return std::unexpected(*std::move(too_slow));
      changed_.WaitUntil(lock, steady_clock::now() + LeastRate::kStep);
      wanted = true;
    }
    if (stop.stop_requested()) return Stopped();
    got.bytes = std::exchange(received_, {});
    if (got.bytes.empty()) got.end = end_;
  }
  context_->parts.transport.Post([self = shared_from_this()] { self->Resume(); });
  return got;
}

LayerStream::LayerStream(std::shared_ptr<FillContext> context, Blob blob, Locate locate,
                         std::stop_token stop)
    : context_(std::move(context)),
      blob_(std::move(blob)),
      locate_(std::move(locate)),
      stop_(std::move(stop)) {}

LayerStream::~LayerStream() { EndTransfer(); }

void LayerStream::EndTransfer() {
  if (!transfer_) return;
  // Until then the transport may call it.
  std::promise<void> ended;
  context_->parts.transport.Post([&] {
    transfer_->Cancel();
    ended.set_value();
  });
  ended.get_future().wait();
  brought_ = transfer_->brought();
  transfer_.reset();
}

Result<std::span<const std::byte>> LayerStream::Next() {
  given_.clear();
  while (given_.empty() && position_ < blob_.size) {
    TRY(Advance());
  }
  if (position_ == blob_.size) EndTransfer();
  return std::span<const std::byte>(given_);
}

Result<> LayerStream::Advance() {
  if (!transfer_) {
    Result<> begun = Begin();
    if (!begun) return Recover(std::move(begun).error());
  }
  Transfer::Received got = TRY(transfer_->Wait(stop_, least_rate_));
  if (got.bytes.empty()) {
    EndTransfer();
    Error cut{.code = Code::kUnavailable, .message = "the connection ended early"};
    return Recover(*got.end ? cut : got.end->error());
  }
  given_ = std::move(got.bytes);
  // The transport bounds a transfer by its range; this is for a file that has no end.
  given_.resize(std::min<Bytes>(given_.size(), blob_.size - position_));
  position_ += given_.size();
  return {};
}

Result<> LayerStream::Begin() {
  bool known = location_ && location_->expires_at > steady_clock::now();
  if (!known) {
    location_ = TRY(locate_());
    location_->size = blob_.size;
  }
  bool whole = position_ == 0 || ignores_range_;
  std::optional<ByteRange> range;
  if (!whole) range = ByteRange{.begin = position_, .end = blob_.size};
  transfer_ = std::make_shared<Transfer>(context_, blob_, whole ? position_ : 0, brought_);
  context_->parts.transport.Post(
      [transfer = transfer_, location = *location_, range] { transfer->Start(location, range); });
  return {};
}

Result<> LayerStream::Recover(Error error) {
  // Not by a byte: one that is cut after each would be fetched for ever.
  if (position_ - failed_at_ >= LeastRate::kLeast) failures_ = 0;
  failed_at_ = position_;
  ++failures_;
  bool refused = error.code == Code::kUnauthenticated || error.code == Code::kPermissionDenied;
  bool stale = refused && location_.has_value() && failures_ == 1;
  // What came of the old location says nothing of a new one.
  location_.reset();
  bool no_ranges = error.code == Code::kUnimplemented && !std::exchange(ignores_range_, true);
  if (stale || no_ranges) return {};
  std::optional<std::chrono::milliseconds> delay =
      NextDelay(error, failures_,
                {.max_attempts = context_->options.max_attempts,
                 .backoff_start = context_->options.backoff_start,
                 .backoff_limit = context_->options.backoff_limit},
                1.0);
  if (!delay) return std::unexpected(std::move(error));
  LogRepeated(LogLevel::kInfo,
              fmt::format("fill {}: a layer goes on at {} of {} in {}: {}", blob_.fill,
                          FormatBytes(position_), FormatBytes(blob_.size), FormatDuration(*delay),
                          error.message),
              {{"snapshot", blob_.fill}});
  if (SleepUntil(steady_clock::now() + *delay, stop_)) return {};
  return Stopped();
}

}  // namespace weighhouse::fill
